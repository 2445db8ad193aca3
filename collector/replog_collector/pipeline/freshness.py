"""Up to which time everything is applied: where the ends were is remembered until the collector is there. Pure.

A partition whose position is at an end that the broker told has everything that came before the broker was asked. So
the times are of one clock, this machine's, and do not hang on what publishers, whose clocks differ and whose messages
may be late, wrote into their messages. A collector that is behind by some time tells the time of as long ago; one that
begins far behind tells none before it has got to where the end was when it began.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING

from replog.store.write.offsets import Moment, Reached

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replog_collector.kafka.source import TopicSnapshot

#: Moments of one partition that are remembered: beyond that, every second is left out, however far behind it is.
REMEMBERED = 128


class Freshness:
    """The looks of one collector at its topic."""

    def __init__(self) -> None:
        self._latest: TopicSnapshot | None = None
        #: By partition, the moments not reached yet, in the order of offsets.
        self._ahead: defaultdict[int, list[Moment]] = defaultdict(list)

    def remember(self, look: TopicSnapshot | None) -> None:
        """Take the last look at the topic, once or several times."""
        if look is None or look == self._latest:
            return
        self._latest = look
        for number, end in look.ends.items():
            moments = self._ahead[number]
            # Offsets start again where a topic was made anew.
            while moments and moments[-1].offset >= end:
                moments.pop()
            moments.append(Moment(end, look.asked_ms))
            if len(moments) > REMEMBERED:
                self._ahead[number] = moments[::2]

    def reached(self, positions: Mapping[int, int]) -> Reached | None:
        """What positions have reached since this was asked last; None for nothing.

        Those of partitions that are no longer among them are forgotten.
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
