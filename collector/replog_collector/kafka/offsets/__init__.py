"""Offsets of partitions: where a member is, where it starts, and what the broker has."""
