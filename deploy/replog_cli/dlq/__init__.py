"""``replog dlq``: dead letters, seen, published again, deleted."""
