"""The pipeline of a batch, in the order of its steps: decode, merge, dead-letter, checkpoint."""
