"""The statuses of records and details: one table that registers, scripts, answers and documents derive from. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

#: Any status; the terminal ones, which a ``*.finished`` event may carry.
StatusName = Literal["RUNNING", "SUCCESS", "FAILED"]
TerminalName = Literal["SUCCESS", "FAILED"]


class Status(NamedTuple):
    """One status of a record or detail.

    ``letter`` stands for it in the store. ``terminal``: the attempt is over. Of two candidates of one attempt and one
    microsecond, the one of the greater ``precedence`` wins (docs/events.md, "Ties").
    """

    name: StatusName
    letter: bytes
    terminal: bool
    precedence: int


#: The table, in the order in which the documents name the statuses.
STATUSES = (
    Status("RUNNING", b"R", terminal=False, precedence=0),
    Status("SUCCESS", b"S", terminal=True, precedence=2),
    Status("FAILED", b"F", terminal=True, precedence=1),
)
RUNNING, SUCCESS, FAILED = (status.name for status in STATUSES)
#: The letter of each name.
STATUS_LETTERS: dict[str, bytes] = {status.name: status.letter for status in STATUSES}
#: All letters, in the order of the table.
LETTERS = tuple(status.letter for status in STATUSES)
#: The same, ascending, as one.
SORTED_LETTERS = b"".join(sorted(LETTERS))
#: The status of each letter, as an integer.
BY_LETTER = {status.letter[0]: status for status in STATUSES}


def letters_of(status: str) -> tuple[bytes, ...]:
    """The letter of the status of this name; those of all statuses for an empty one."""
    return (STATUS_LETTERS[status],) if status else LETTERS
