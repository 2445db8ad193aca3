"""Values that the read port returns: pages and lists, and what was read together with its version. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = TypeVar("T")

#: Version of a record or task that does not exist.
NOTHING = b"nothing"


class Page(NamedTuple, Generic[T]):
    """One page: its rows, newest first, and the number of rows of all pages."""

    total: int
    rows: list[T]


class Versioned(NamedTuple, Generic[T]):
    """Data, and its version, which was read before the data or together with it, never after.

    Two equal versions of one query have equal data. Versions are compared, not read.
    """

    version: bytes
    data: T


class VersionedSteps(NamedTuple, Generic[T]):
    """A list of any length, newest first, read in steps while it is consumed.

    ``first`` is its first step. ``others`` are the rest, or None where ``first`` is all of it. ``may_change`` says
    whether time alone may change how rows are shown: whether any of them is RUNNING.
    """

    version: bytes
    first: list[T]
    others: AsyncIterator[list[T]] | None
    may_change: bool
