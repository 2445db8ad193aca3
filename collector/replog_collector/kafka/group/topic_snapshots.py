"""Snapshots of the topic: its number of partitions, and the ends of those that are assigned."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from replog_collector import metrics
from replog_collector.kafka.group.subscription import BROKER_ANSWER_TIMEOUT_S
from replog_collector.kafka.offsets.topic_queries import count_partitions, ends_of
from replog_collector.kafka.source import TopicSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from replog_collector.kafka.group.assignment import Assignment
    from replog_collector.kafka.group.membership import Membership

#: Seconds between two snapshots of the topic: its partitions and their ends. Freshness is no finer than this.
SNAPSHOT_INTERVAL_S = 1.0


class TopicSnapshots:
    """Asks the broker for snapshots, and gives them to ``assignment``. ``clock`` gives nanoseconds since 1970."""

    def __init__(self, topic: str, assignment: Assignment, membership: Membership, clock: Callable[[], int]) -> None:
        self._topic = topic
        self._assignment = assignment
        self._membership = membership
        self._clock = clock

    @property
    def due(self) -> bool:
        """Whether the next snapshot is to be taken: the interval is over, or partitions were assigned or revoked."""
        return asyncio.get_running_loop().time() >= self._assignment.snapshot_due_s

    async def take(self) -> None:
        """Take a snapshot, which is dropped if there is a rebalance meanwhile.

        Raises KafkaError, BrokerUnavailable, TimeoutError.
        """
        # The broker itself is asked: what the client learns while fetching stands still when its fetching does.
        self._assignment.snapshot_due_s = asyncio.get_running_loop().time() + SNAPSHOT_INTERVAL_S
        assigned, applied, asked_ms = self._assignment.partitions, self._assignment.applied, self._clock() // 1_000_000
        async with asyncio.timeout(BROKER_ANSWER_TIMEOUT_S):
            # Also without an assignment: that the broker does not answer may be the reason for having none.
            partitions = await count_partitions(self._membership.consumer, self._topic)
            stable, ends = await ends_of(self._membership.consumer, self._topic, assigned or ())
        if assigned is self._assignment.partitions:
            # A partition that ends before what was applied of it was truncated, or made anew with its topic. Until it
            # is begun again, nobody knows what of it is applied.
            is_behind = any(stable[number] < applied[number] for number in applied.keys() & stable.keys())
            self._assignment.note_snapshot(stable, None if is_behind else TopicSnapshot(asked_ms, partitions, ends))
        metrics.TOPIC_PARTITIONS.set(partitions)
