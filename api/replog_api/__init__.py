"""The query service: answers the query API (docs/api.md) from the store."""
