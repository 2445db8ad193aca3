"""The state in Redis: the keyspace, what writes to it and what reads from it."""
