"""Writes of collectors: batches, merges and checkpoints."""
