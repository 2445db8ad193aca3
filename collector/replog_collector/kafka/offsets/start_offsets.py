"""The offset from which a partition is read; offsets that are gone are counted and logged with their range."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from replog.errors import StoreUnavailable
from replog.telemetry import logger
from replog_collector import metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    from replog.store.write.offsets import CheckpointRange
    from replog_collector.checkpoint_store import CheckpointStore
    from replog_collector.kafka.offsets.topic_queries import Bounds

#: Seconds that the store may take: the group waits for a member that is being assigned partitions.
ANSWER_TIMEOUT_S = 2.0


class StartOffsets:
    """Decides where partitions start, by their checkpoints and what Kafka has of them."""

    def __init__(self, checkpoints: CheckpointStore, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._answer_timeout_s = answer_timeout_s
        self._checkpoints = checkpoints
        #: By partition: missing offsets before this one are counted already.
        self._counted: dict[int, int] = {}
        #: Partitions whose missing checkpoints are logged already.
        self._told: set[int] = set()

    async def checkpoints(self, partitions: Collection[int]) -> dict[int, CheckpointRange | None]:
        """The checkpoints of partitions; None where there is none.

        Raises:
            StoreUnavailable: the store does not answer in time.
        """
        async with _in_time(self._answer_timeout_s):
            return await self._checkpoints.read_ranges(partitions)

    def left(
        self, bounds: Mapping[int, Bounds], checkpoints: Mapping[int, CheckpointRange | None]
    ) -> dict[int, int | None]:
        """By partition, the lower of its committed offset and its checkpoint; None where either is unknown.

        ``bounds`` were asked for after the checkpoints. A checkpoint beyond the end of its partition is of a topic that
        was there before: the partition was left there, whatever is committed. A store that came back with this
        checkpoint may have lost what was applied of the topic that is there now.
        """
        known = {number for number, of in bounds.items() if of.committed is not None}
        self._tell({number for number in known if checkpoints[number] is None})
        return {number: _left(of, checkpoints[number]) for number, of in bounds.items()}

    async def save(self, begins: Mapping[int, int], reached: Mapping[int, int | None]) -> None:
        """Set the checkpoints of partitions that begin elsewhere than at ``reached``.

        Those begin with the first offset that Kafka has: nothing before it can still reach the store.

        Raises:
            StoreUnavailable: the store does not answer in time.
        """
        async with _in_time(self._answer_timeout_s):
            await self._checkpoints.begin(
                {number: begin for number, begin in begins.items() if begin != reached[number]}
            )

    def of(self, partition: int, reached: int | None, *, first: int, end: int) -> int:
        """The offset to read ``partition`` from; Kafka has the offsets from ``first`` to before ``end``.

        It is ``reached`` where Kafka has that. Where retention deleted it, it is ``first``; the offsets between are
        lost, counted and logged once. Where ``reached`` lies beyond the end, the topic was made anew or truncated:
        everything is read again, which changes nothing in the store.
        """
        if reached is None:
            return first
        if reached < first:
            self._count(partition, max(reached, self._counted.get(partition, 0)), first)
            return first
        if reached > end:
            logger().warning("offsets_reset", partition=partition, position=reached, first=first, end=end)
            return first
        return reached

    def _tell(self, partitions: set[int]) -> None:
        if new := sorted(partitions - self._told):
            logger().warning("checkpoints_missing", partitions=new)
            self._told.update(new)

    def _count(self, partition: int, missing: int, first: int) -> None:
        # An assignment and a fetch may meet the same gap at the same time.
        if missing < first:
            metrics.OFFSETS_SKIPPED.inc(first - missing)
            logger().error("offsets_skipped", partition=partition, first=missing, last=first - 1)
            self._counted[partition] = first


def _left(bounds: Bounds, checkpoints: CheckpointRange | None) -> int | None:
    if bounds.committed is None or checkpoints is None:
        return None
    lowest, highest = checkpoints
    return highest if highest > bounds.end else min(bounds.committed, lowest)


@contextlib.asynccontextmanager
async def _in_time(timeout_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise StoreUnavailable("timeout", f"the checkpoints took longer than {timeout_s:g} s") from None
