"""Membership in the consumer group: polls, commits, rebalances, snapshots of the topic, and a static member's id."""
