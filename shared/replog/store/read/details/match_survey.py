"""Matches of a filter as they are found: all of few, and of many what says where a page is. Pure."""

from __future__ import annotations

from math import sqrt
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Above and below every tail.
TOP, BOTTOM = b"\xff", b""
#: The newest are picked from twice as many as are wanted, and twice as many as these: sorting them takes no time.
_LEAST_PICKED = 1000


class MatchSurvey:
    """The matches that are found: their number, and their tails where these are few.

    Of more than are ``kept``, the ``wanted`` newest stay or, where that is None, a part of them that is drawn at
    random, ``sampled`` (0 to 1).
    """

    def __init__(self, *, wanted: int | None, kept: int, sampled: float) -> None:
        self.total = 0
        self.tails: list[bytes] = []
        self.sample: list[bytes] = []
        self._kept, self._sampled = kept, sampled
        self._wanted = wanted
        self._draw = drawing()
        self._floor = BOTTOM

    @property
    def is_whole(self) -> bool:
        """Whether the tails are those of all."""
        return self.total <= self._kept

    def add(self, tails: list[bytes]) -> None:
        """More matches are found."""
        self.total += len(tails)
        if self.is_whole:
            self.tails += tails
        elif self._wanted is not None:
            self._add_newest(tails, self._wanted)
        else:
            self.tails.clear()
        if self._wanted is None:
            self.sample += [tail for tail in tails if self._draw() < self._sampled]

    def _add_newest(self, tails: list[bytes], wanted: int) -> None:
        self.tails += [tail for tail in tails if tail > self._floor]
        if len(self.tails) > 2 * max(wanted, _LEAST_PICKED):
            self.tails.sort(reverse=True)
            del self.tails[wanted:]
            self._floor = self.tails[-1] if self.tails else self._floor


def enclosing(sample: list[bytes], first: float, last: float, *, margin: float) -> tuple[bytes, bytes]:
    """Tails of the sample above and below the part of all matches from ``first`` to ``last`` (0 to 1).

    ``margin`` says how far beside it they are, in standard deviations.
    """
    ordered = sorted(sample, reverse=True)
    size = len(ordered)
    begin = int(size * first - margin * sqrt(size * first * (1 - first))) - 1
    end = int(size * last + margin * sqrt(size * last * (1 - last))) + 1
    return ordered[begin] if begin >= 0 else TOP, ordered[end] if end < size else BOTTOM


def drawing() -> Callable[[], float]:
    """Numbers from 0 to 1 at random, the same each time, so that a page costs the same."""
    return Random(0).random  # noqa: S311 - no secret
