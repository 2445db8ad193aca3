"""The inspection of a store: whether indexes, sums and lists are those of the registers, and their repair."""
