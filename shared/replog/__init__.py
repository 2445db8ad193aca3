"""Execution records of repository replication: the event contract and the publisher for workers.

See ``docs/events.md`` for the contract and ``docs/publishing.md`` for how to publish.
"""
