"""Membership in the consumer group: polls, commits and rebalances, and the instance id of a static member."""
