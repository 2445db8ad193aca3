"""Topics outside the consumer group: reading them from any offset, and describing them. Operators' commands use it."""
