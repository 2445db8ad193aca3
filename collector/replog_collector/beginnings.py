"""From which offset a partition is read: what is gone is counted, and said with its range."""

from __future__ import annotations

from replog.telemetry import logger
from replog_collector import metrics


class Beginnings:
    """Where partitions are to be read from, and which offsets were found missing already."""

    def __init__(self) -> None:
        #: By partition: everything before this offset that is missing was counted.
        self._counted: dict[int, int] = {}

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
