"""The start of assigned partitions: each is sought to the offset from which it has to be read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from replog.errors import StoreUnavailable
from replog_collector.kafka.group.subscription import BROKER_ANSWER_TIMEOUT_S
from replog_collector.kafka.offsets.topic_queries import bounds_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from replog_collector.kafka.group.assignment import Assignment
    from replog_collector.kafka.offsets.start_offsets import StartOffsets


class Seeking:
    """Begins partitions of ``assignment``: ``start_offsets`` decides where, and the client seeks."""

    def __init__(self, topic: str, assignment: Assignment, start_offsets: StartOffsets) -> None:
        self._topic = topic
        self._assignment = assignment
        self._start_offsets = start_offsets

    async def begin(self, consumer: Any, numbers: Collection[int], reached: Mapping[int, int] | None = None) -> None:
        """Seek each partition to where it has to be read from: ``reached``, or its checkpoint, or its first offset.

        Raises KafkaError, TimeoutError, StoreUnavailable.
        """
        if not numbers:
            return
        positions = self._assignment.positions
        # Before the ends: a checkpoint that another member moves meanwhile is not beyond the end of a topic that grows.
        checkpoints = {} if reached else await self._start_offsets.checkpoints(numbers)
        async with asyncio.timeout(BROKER_ANSWER_TIMEOUT_S):
            bounds = await bounds_of(consumer, self._topic, numbers)
        left = reached or self._start_offsets.left(bounds, checkpoints)
        begins = {
            number: self._start_offsets.of(number, left[number], first=of.first, end=of.end)
            for number, of in bounds.items()
        }
        await self._start_offsets.save(begins, left)
        if positions is not self._assignment.positions:
            # There was a rebalance meanwhile, or the client was replaced: the partitions are begun anew after it.
            return
        for number, begin in begins.items():
            consumer.seek(TopicPartition(self._topic, number), begin)
            # A fetch that was refused once goes on where it was, with batches in flight before it.
            if not reached or begin != reached[number]:
                positions.begin(number, begin, committed=bounds[number].committed)

    async def begin_again(self, consumer: Any, reached: Mapping[TopicPartition, int]) -> None:
        """Begin partitions of which the broker refused to fetch the offsets ``reached``."""
        at = {TopicPartition(*partition).partition: offset for partition, offset in reached.items()}
        try:
            await self.begin(consumer, at.keys() & self._assignment.numbers, at)
        except (KafkaError, TimeoutError, StoreUnavailable):
            # A topic that was made anew may grow as far before the next fetch, which would then miss what is before. So
            # these are not fetched any more, until the next snapshot begins them at their checkpoints.
            self._assignment.positions.forget(at.keys())
