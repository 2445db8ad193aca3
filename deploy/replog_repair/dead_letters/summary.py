"""Dead letters counted by reason and type of event. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replog_repair.dead_letters.letter import DeadLetter

#: Groups that are kept apart. A type is any text, so that there may be any number of types.
MOST_GROUPS = 1000
#: The type of all letters beyond that.
OTHERS = "(others)"


@dataclass
class Group:
    """Letters of one reason and type; ``type`` is None where the value tells none."""

    reason: str
    type: str | None
    newest: DeadLetter
    first_ms: int
    count: int = 0


class Summary:
    """Groups of the letters that are added."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str | None], Group] = {}

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Count ``letters``."""
        for letter in letters:
            group = self._group(letter)
            group.count += 1
            group.first_ms = min(group.first_ms, letter.time_ms)
            if (letter.time_ms, letter.place) > (group.newest.time_ms, group.newest.place):
                group.newest = letter

    @property
    def groups(self) -> list[Group]:
        """The groups, the largest first."""
        return sorted(self._groups.values(), key=lambda group: (-group.count, group.reason, group.type or ""))

    def _group(self, letter: DeadLetter) -> Group:
        key = (letter.reason, letter.fields.type)
        if key not in self._groups and len(self._groups) >= MOST_GROUPS:
            key = (OTHERS, OTHERS)
        return self._groups.setdefault(key, Group(*key, letter, letter.time_ms))
