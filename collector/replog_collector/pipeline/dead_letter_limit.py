"""The limit of dead letters, beyond which more likely the collector is wrong than the events."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from replog.errors import TooManyDeadLetters

if TYPE_CHECKING:
    from collections.abc import Callable

#: Events that the share is computed over.
JUDGED_EVENTS = 1000
_MINUTE_S = 60.0


class DeadLetterLimit:
    """Two limits, whichever is exceeded first: a share of the last events, and a number a minute.

    ``clock`` gives monotonic seconds.
    """

    def __init__(self, share: float, per_minute: int, *, clock: Callable[[], float]) -> None:
        self._share = share
        self._per_minute = per_minute
        self._clock = clock
        #: Events and letters of each of the last batches, and their sums.
        self._batches: deque[tuple[int, int]] = deque()
        self._events = self._letters = 0
        self._minute: deque[tuple[float, int]] = deque()
        self._in_minute = 0

    def take(self, events: int, letters: int) -> None:
        """Count a batch of ``events``, of which ``letters`` are to be dead-lettered.

        Raises:
            TooManyDeadLetters: a limit is exceeded; nothing of the batch may be dead-lettered.
        """
        self._take_share(events, letters)
        self._take_minute(letters)
        if self._events >= JUDGED_EVENTS and self._letters > self._share * self._events:
            self._stop(f"{self._letters} of the last {self._events} events", "REPLOG_DEAD_LETTER_SHARE", self._share)
        if self._in_minute > self._per_minute:
            self._stop(f"{self._in_minute} events of a minute", "REPLOG_DEAD_LETTERS_PER_MINUTE", self._per_minute)

    def _take_share(self, events: int, letters: int) -> None:
        self._batches.append((events, letters))
        self._events += events
        self._letters += letters
        while self._events - self._batches[0][0] >= JUDGED_EVENTS:
            gone_events, gone_letters = self._batches.popleft()
            self._events -= gone_events
            self._letters -= gone_letters

    def _take_minute(self, letters: int) -> None:
        now_s = self._clock()
        if letters:
            self._minute.append((now_s, letters))
            self._in_minute += letters
        while self._minute and now_s - self._minute[0][0] > _MINUTE_S:
            self._in_minute -= self._minute.popleft()[1]

    @staticmethod
    def _stop(what: str, variable: str, limit: float) -> None:
        raise TooManyDeadLetters(
            f"{what} would go to the dead-letter topic, beyond {variable}={limit:g}: is this collector older than the "
            "publishers, or the topic another one? Nothing was committed of the last batch"
        )
