"""From which offset a partition is read: what is gone is counted, and said with its range."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from replog.errors import StoreUnavailable
from replog.telemetry import logger
from replog_collector import metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from replog_collector.checkpoint_store import CheckpointStore

#: How long the store may take. The group waits for a member that is being assigned partitions.
ANSWER_TIMEOUT_S = 2.0


class StartOffsets:
    """Where partitions are to be read from, and which offsets were found missing already."""

    def __init__(self, markers: CheckpointStore, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._answer_timeout_s = answer_timeout_s
        self._checkpoints = markers
        #: By partition: everything before this offset that is missing was counted.
        self._counted: dict[int, int] = {}

    async def left(self, committed: Mapping[int, int | None]) -> dict[int, int | None]:
        """By partition: the lower of what is ``committed`` and the store's marker; None where one is not known.

        Raises:
            StoreUnavailable: the store does not answer in time.
        """
        async with _in_time(self._answer_timeout_s):
            markers = await self._checkpoints.read(committed.keys())
        pairs = {number: (offset, markers[number]) for number, offset in committed.items()}
        return {
            number: None if offset is None or marker is None else min(offset, marker)
            for number, (offset, marker) in pairs.items()
        }

    async def mark(self, begins: Mapping[int, int], reached: Mapping[int, int | None]) -> None:
        """Have the store know of partitions that begin elsewhere than where they were ``reached``.

        Those begin with the first that Kafka has: there is nothing before it that the store could still get.

        Raises:
            StoreUnavailable: the store does not answer in time.
        """
        async with _in_time(self._answer_timeout_s):
            await self._checkpoints.begin(
                {number: begin for number, begin in begins.items() if begin != reached[number]}
            )

    def of(self, partition: int, reached: int | None, *, first: int, end: int) -> int:
        """The offset to read ``partition`` from, which holds ``first`` up to before ``end``.

        That is ``reached`` where the partition has it. Where retention deleted it, the first there is; what lies
        between is lost, counted and logged, once. Where it lies behind the end, the topic was made anew or cut:
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

    def _count(self, partition: int, missing: int, first: int) -> None:
        # The same gap is met twice where an assignment and a fetch come upon it at the same time.
        if missing < first:
            metrics.OFFSETS_SKIPPED.inc(first - missing)
            logger().error("offsets_skipped", partition=partition, first=missing, last=first - 1)
            self._counted[partition] = first


@contextlib.asynccontextmanager
async def _in_time(timeout_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise StoreUnavailable("timeout", f"the markers took longer than {timeout_s:g} s") from None
