"""Progress of the collector: updated by its loop, read by the health server's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from replog_collector import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from replog_collector.kafka.source import Standing

#: A batch in flight holds its partitions' positions still. It counts as slow, not as hanging, for this many times as
#: long: calls of the store have timeouts of their own, so that a batch makes progress or fails.
SLOW_BATCH_TIMES = 5
#: The same for a rebalance, in which the group waits up to 30 s for all its members.
SLOW_MOVE_TIMES = 2


class _Seen(NamedTuple):
    position: int
    lag: int
    moved_at: float


class Progress:
    """Positions and lag by partition. ``clock`` gives monotonic seconds.

    The collector hangs when an assigned partition has lag and its position has not moved for ``stalled_after_s``, or
    when a rebalance takes some times as long.
    """

    def __init__(self, clock: Callable[[], float], stalled_after_s: float) -> None:
        #: Whether a batch is in flight to the store.
        self.delivering = False
        self._clock = clock
        self._stalled_after_s = stalled_after_s
        self._seen: dict[int, _Seen] = {}
        self._updated_at = clock()
        #: Start of the rebalance that is under way; None without one.
        self._moving_since: float | None = None

    def update(self, standings: Mapping[int, Standing], *, moving: bool = False) -> None:
        """Note the assigned partitions, and whether a rebalance is ``moving`` them; called after every poll."""
        now = self._clock()
        if not moving:
            self._moving_since = None
        elif self._moving_since is None:
            self._moving_since = now
        for partition in self._seen.keys() - standings.keys():
            metrics.LAG.remove(str(partition))
            metrics.POSITION.remove(str(partition))
            metrics.COMMITTED_LAG.remove(str(partition))
        self._seen = {partition: self._next(partition, standing, now) for partition, standing in standings.items()}
        self._updated_at = now

    def excuse(self) -> None:
        """Restart the timeouts: the collector stands still for a known reason."""
        now = self._clock()
        self._seen = {partition: seen._replace(moved_at=now) for partition, seen in self._seen.items()}
        self._moving_since = None
        self._updated_at = now

    def stalled(self) -> str | None:
        """The reason why the collector counts as hanging; None while it makes progress."""
        now = self._clock()
        seen, updated_at, moving_since = self._seen, self._updated_at, self._moving_since
        patience_s = self._stalled_after_s * (SLOW_BATCH_TIMES if self.delivering else 1)
        for partition, standing in seen.items():
            if standing.lag > 0 and now - standing.moved_at > patience_s:
                return (
                    f"partition {partition} stands at offset {standing.position}, "
                    f"{standing.lag} behind, for {now - standing.moved_at:.0f} s"
                )
        if moving_since is not None and now - moving_since > self._stalled_after_s * SLOW_MOVE_TIMES:
            return f"the group has given it no partitions for {now - moving_since:.0f} s"
        if now - updated_at > self._stalled_after_s:
            return f"the loop has not come round for {now - updated_at:.0f} s"
        return None

    def _next(self, partition: int, standing: Standing, now: float) -> _Seen:
        lag = max(0, standing.end - standing.position)
        metrics.LAG.labels(str(partition)).set(lag)
        metrics.POSITION.labels(str(partition)).set(standing.position)
        metrics.COMMITTED_LAG.labels(str(partition)).set(max(0, standing.end - standing.committed))
        before = self._seen.get(partition)
        still = before is not None and before.position == standing.position and before.lag > 0
        return _Seen(standing.position, lag, before.moved_at if before and still else now)
