"""Topics that a collector sends to: dead letters, and outcomes."""
