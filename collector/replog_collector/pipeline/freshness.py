"""The time up to which everything is applied: ends of partitions are kept until the collector has reached them. Pure.

A partition whose position is at an end offset has everything that came before the broker was asked for that end. So the
times are of one clock, this machine's. They do not depend on the clocks of publishers, or on late messages. A collector
that lags by some time tells the time of as long ago. One that starts with a lag tells none before it has reached the
end that it saw at its start.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING

from replog.store.write.offsets import Moment, Reached

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replog_collector.kafka.source import TopicSnapshot

#: Moments kept of one partition; beyond that number every second one is dropped.
REMEMBERED = 128


class Freshness:
    """The moments of one collector's partitions, from its snapshots of the topic."""

    def __init__(self) -> None:
        self._latest: TopicSnapshot | None = None
        #: By partition, the moments not reached yet, in the order of offsets.
        self._ahead: defaultdict[int, list[Moment]] = defaultdict(list)

    def remember(self, snapshot: TopicSnapshot | None) -> None:
        """Add the ends of the last snapshot; safe to repeat."""
        if snapshot is None or snapshot == self._latest:
            return
        self._latest = snapshot
        for number, end in snapshot.ends.items():
            moments = self._ahead[number]
            # Offsets start again after a topic was made anew.
            while moments and moments[-1].offset >= end:
                moments.pop()
            moments.append(Moment(end, snapshot.asked_ms))
            if len(moments) > REMEMBERED:
                self._ahead[number] = moments[::2]

    def reached(self, positions: Mapping[int, int]) -> Reached | None:
        """The moments that ``positions`` have reached since the last call; None for none.

        Moments of partitions that are not among them are dropped.
        """
        found: dict[int, Moment] = {}
        for number in list(self._ahead):
            moments = self._ahead.pop(number)
            if number in positions:
                passed = bisect_right(moments, positions[number], key=lambda moment: moment.offset)
                self._ahead[number] = moments[passed:]
                if passed:
                    found[number] = moments[passed - 1]
        if self._latest is None or not found:
            return None
        return Reached(self._latest.partitions, self._latest.asked_ms, found)
