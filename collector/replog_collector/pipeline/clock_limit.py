"""The limit of how far an event may be dated ahead of the collector's clock.

An event of a clock that is far ahead would win against every later one.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from replog.errors import InvalidEventError
from replog.times import format_time_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from replog.events import Event

_SECOND_US = 1_000_000


class AheadLimit:
    """A limit of ``max_ahead_s`` seconds; 0 for none. ``clock`` gives seconds since 1970."""

    def __init__(self, max_ahead_s: float, *, clock: Callable[[], float] = time.time) -> None:
        self._max_ahead_s = max_ahead_s
        self._clock = clock

    def latest_us(self) -> float:
        """The latest ``eventTime`` that is valid now."""
        return (self._clock() + self._max_ahead_s) * _SECOND_US if self._max_ahead_s else math.inf

    def refusal(self, event: Event, latest_us: float) -> InvalidEventError:
        """The error of an event that is later than ``latest_us``, a value of :meth:`latest_us`."""
        ahead_s = self._max_ahead_s + (event.event_us - latest_us) / _SECOND_US
        return InvalidEventError(
            "clock_ahead",
            f"eventTime is wrong: {format_time_us(event.event_us)} is {ahead_s:.0f} s ahead of the collector's clock; "
            f"at most {self._max_ahead_s:g} s are allowed",
        )
