"""Maintenance of the whole store: retention, and the count of what is stale."""
