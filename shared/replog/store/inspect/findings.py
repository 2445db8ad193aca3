"""Differences that an inspection finds, and the edits that repair them. Pure."""

from __future__ import annotations

from typing import NamedTuple

#: Findings of one record, or of one task's list, that are kept: what is so wrong is examined again once these are gone.
MOST_OF_ONE = 1000


class Guard(NamedTuple):
    """The version of a record or a task's list that an edit was made for: a field of a hash, and its value."""

    key: bytes
    field: bytes
    value: bytes | None


class Edit(NamedTuple):
    """One change of a key; ``verb`` is one of those of ``mend.lua``, and ``words`` are what it takes."""

    verb: str
    key: bytes
    words: tuple[bytes | float, ...]


class Finding(NamedTuple):
    """One difference. ``what`` is a stable label, ``key`` the key of Redis that is wrong, ``text`` for people.

    ``edit`` repairs it where ``guard`` still holds; None where merging registers does, or nothing can.
    """

    what: str
    record_id: str
    key: bytes
    text: str
    detail_id: str | None = None
    task_key: str | None = None
    edit: Edit | None = None
    guard: Guard | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for the same difference, found twice."""
        return (self.what, self.record_id, self.detail_id, self.task_key, self.key, self.text)


def shown(raw: bytes) -> str:
    """Bytes of a key or an entry as text; what is no UTF-8 or not printable is escaped."""
    text = raw.decode(errors="backslashreplace")
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
