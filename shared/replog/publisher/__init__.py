"""The publisher of events, for replication workers written in Python."""
