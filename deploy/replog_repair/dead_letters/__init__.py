"""Dead letters as operators see them: read, selected, checked again, published again, deleted."""
