"""The choice of dead letters that a command works on. Pure."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from replog_repair.message_fields import belongs_to

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replog_repair.dead_letters.letter import DeadLetter, Place

T = TypeVar("T", bound=tuple[Any, ...])

#: What the clocks of a collector and of the broker may differ by: Kafka is asked for letters from so much earlier on.
CLOCK_SLACK_MS = 3_600_000


@dataclass(frozen=True)
class Selection:
    """Letters that meet all conditions; a condition that is None, or empty, is met by every letter.

    Times are milliseconds since 1970; ``since_ms`` belongs to the range and ``until_ms`` does not. ``text`` occurs in
    the error, the key or the value.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    reasons: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    task_key: str | None = None
    record_id: str | None = None
    text: str | None = None

    @property
    def search_from_ms(self) -> int:
        """The timestamp from which on Kafka may have letters of the selection."""
        return 0 if self.since_ms is None else max(0, self.since_ms - CLOCK_SLACK_MS)

    def has(self, letter: DeadLetter) -> bool:
        """Whether ``letter`` meets all conditions."""
        return (
            (self.since_ms is None or letter.time_ms >= self.since_ms)
            and (self.until_ms is None or letter.time_ms < self.until_ms)
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.types or letter.fields.type in self.types)
            and (self.task_key is None or letter.fields.task_key == self.task_key)
            and (self.record_id is None or belongs_to(letter.key, letter.fields, self.record_id))
            and (self.text is None or _occurs(self.text, letter))
        )


class Newest:
    """The newest ``limit`` of the letters that are added; ``added`` is the number of all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[tuple[int, Place], DeadLetter]] = []
        self.added = 0

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Add ``letters``."""
        for letter in letters:
            self.added += 1
            _keep_greatest(self._heap, ((letter.time_ms, letter.place), letter), self._limit)

    @property
    def letters(self) -> list[DeadLetter]:
        """Those that are kept, the newest first."""
        return [letter for _, letter in sorted(self._heap, key=_time_and_place, reverse=True)]


class NewestPlaces:
    """The places of the same letters alone: there may be a million."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[int, Place]] = []

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Add ``letters``."""
        for letter in letters:
            _keep_greatest(self._heap, (letter.time_ms, letter.place), self._limit)

    @property
    def places(self) -> set[Place]:
        """Those that are kept."""
        return {place for _, place in self._heap}


def _keep_greatest(heap: list[T], entry: T, limit: int) -> None:
    if len(heap) < limit:
        heapq.heappush(heap, entry)
    else:
        heapq.heappushpop(heap, entry)


def _time_and_place(entry: tuple[tuple[int, Place], DeadLetter]) -> tuple[int, Place]:
    return entry[0]


def _occurs(text: str, letter: DeadLetter) -> bool:
    wanted = text.encode("utf-8", "replace")
    return text in letter.error or wanted in (letter.key or b"") or wanted in (letter.value or b"")
