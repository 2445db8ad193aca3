"""Values that the read port returns: pages and lists, and what was read together with its version. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from replog.entities import Overview
    from replog.store.format.rows import StoredDetail, StoredRecord

T = TypeVar("T")

#: What details are counted by.
Grouping = Literal["cluster", "repository", "pair"]
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


class DetailCount(Struct, frozen=True, gc=False):
    """The details of one group, ``total`` in all; a name is None where they are not grouped by it.

    There may be ten thousand groups: a named tuple takes four times as long to make.
    """

    remote_cluster: str | None
    repo_name: str | None
    success: int
    failed: int
    running: int
    total: int


class FailureReason(NamedTuple):
    """Details that failed for one reason, masked; None: no worker said why.

    ``remote_clusters`` are in order of code points; ``detail_id`` is that of the newest of these details.
    """

    reason: str | None
    failed: int
    remote_clusters: list[str]
    detail_id: str


class FailureReasons(NamedTuple):
    """All reasons among the ``examined`` of so many ``failed`` details: most failed first, then by reason."""

    failed: int
    examined: int
    reasons: list[FailureReason]


class SilentDetails(NamedTuple):
    """The details that a record waits for. ``active_ms`` and ``overview`` are None where the record is unknown.

    ``details`` are the longest silent of the ``examined`` RUNNING ones.
    """

    active_ms: int | None
    overview: Overview | None
    examined: int
    details: list[StoredDetail]


class Run(NamedTuple):
    """A record of a task, as the task's list has it; ``end_ms`` is None while it is RUNNING."""

    id: str
    status: str
    start_ms: int
    end_ms: int | None


class TaskRuns(NamedTuple):
    """The newest runs of a task, newest first, and how many records it has in all."""

    task_key: str
    total: int
    runs: list[Run]


class SilentRecord(NamedTuple):
    """A record, and when it or one of its details had its last event."""

    record: StoredRecord
    active_ms: int
