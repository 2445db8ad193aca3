"""Shortening of a schedule that goes wrong: as few faults and messages as still go wrong in the same way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.simulation.schedule import Schedule
    from tests.simulation.world import Verdict

T = TypeVar("T")

#: Simulations that shortening may take.
MOST_RUNS = 400


class Shortening:
    """Shortens one schedule. ``run`` runs one."""

    def __init__(self, run: Callable[[Schedule], Verdict], *, most_runs: int = MOST_RUNS) -> None:
        self._run = run
        self._left = most_runs

    def shorten(self, verdict: Verdict) -> Verdict:
        """The verdict on the shortest schedule found that goes wrong as this one does."""
        best, kind = verdict, kind_of(verdict)

        def goes_wrong(schedule: Schedule) -> bool:
            nonlocal best
            if not self._left:
                return False
            self._left -= 1
            found = self._run(schedule)
            if kind_of(found) != kind:
                return False
            best = found
            return True

        schedule = verdict.schedule
        faults = fewest(schedule.faults, lambda some: goes_wrong(schedule.with_faults(some)))
        schedule = schedule.with_faults(faults)
        numbers = range(schedule.messages) if schedule.kept is None else sorted(schedule.kept)
        fewest(numbers, lambda some: goes_wrong(schedule.with_messages(some)))
        return best


def kind_of(verdict: Verdict) -> str | None:
    """In which way a simulation goes wrong: what is said of it, without the numbers and names."""
    if verdict.wrong is None:
        return None
    first, _, _ = verdict.wrong.partition(":")
    return re.sub(r"\(.*?\)|\d+(\.\d+)?", "", first)


def fewest(items: Sequence[T], holds: Callable[[Sequence[T]], bool]) -> Sequence[T]:
    """Some of ``items`` for which ``holds`` still does, by delta debugging: none can go of what is left, one at a time.

    ``holds`` is true of all of them.
    """
    if items and holds([]):
        return []
    parts = 2
    while len(items) > 1:
        size = -(-len(items) // parts)
        for begin in range(0, len(items), size):
            rest = [*items[:begin], *items[begin + size :]]
            if rest and holds(rest):
                items, parts = rest, max(2, parts - 1)
                break
        else:
            if parts >= len(items):
                break
            parts = min(len(items), 2 * parts)
    return items
