"""From which offset a partition is read: what is gone is counted, and said with its range."""

from __future__ import annotations

from replog.telemetry import logger
from replog_collector import metrics


def beginning_of(partition: int, reached: int | None, *, first: int, end: int) -> int:
    """The offset to read ``partition`` from, which holds ``first`` up to before ``end``.

    That is ``reached`` where the partition has it. Where retention deleted it, the first there is; what lies between is
    lost, counted and logged. Where it lies behind the end, the topic was made anew or cut: everything is read again,
    which changes nothing in the store.
    """
    if reached is None:
        return first
    if reached < first:
        metrics.OFFSETS_SKIPPED.inc(first - reached)
        logger().error("offsets_skipped", partition=partition, first=reached, last=first - 1)
        return first
    if reached > end:
        logger().warning("offsets_reset", partition=partition, position=reached, first=first, end=end)
        return first
    return reached
