"""Query values: the parsed parameters of one request, as the endpoints take them. Pure.

Each is made once, by :mod:`replog_api.http.parameters`, before the endpoint is called. Nothing behind that reads the
request's path parameters or query string for parameters again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from replog.store.read.filters import DetailFilter
    from replog.store.read.results import Grouping

#: What an export comes as.
ExportFormat = Literal["csv", "ndjson"]


class PageQuery(Protocol):
    """The part that all queries for one page share."""

    @property
    def page_number(self) -> int:
        """Number of the page, from 1."""

    @property
    def page_size(self) -> int:
        """Most rows of the page, from 1 to 1,000."""

    @property
    def offset(self) -> int:
        """Rows before the page."""


class RecordListQuery(NamedTuple):
    """All records of a task."""

    task_key: str


class RecordPageQuery(NamedTuple):
    """One page of a task's records, of one ``status`` or (empty) all.

    A client that has the page may wait for a change of it, for ``wait_s`` seconds.
    """

    task_key: str
    page_number: int
    page_size: int
    status: str = ""
    wait_s: int = 0

    @property
    def offset(self) -> int:
        """Rows before the page."""
        return (self.page_number - 1) * self.page_size


class DetailListQuery(NamedTuple):
    """All details of a record."""

    record_id: str


class DetailPageQuery(NamedTuple):
    """One page of a record's details that meet ``filter``; ``wait_s`` is as in :class:`RecordPageQuery`."""

    record_id: str
    page_number: int
    page_size: int
    filter: DetailFilter
    wait_s: int = 0

    @property
    def offset(self) -> int:
        """Rows before the page."""
        return (self.page_number - 1) * self.page_size

    @property
    def status(self) -> str:
        """The filter's status, empty for all."""
        return self.filter.status


class RecordQuery(NamedTuple):
    """One record."""

    record_id: str


class OverviewQuery(NamedTuple):
    """The roll-up of one record."""

    record_id: str


class LatestQuery(NamedTuple):
    """The latest records of some tasks, in this order."""

    task_keys: list[str]


class TaskPageQuery(NamedTuple):
    """One page of the tasks whose key begins with ``prefix``, by ``status`` of the latest record or (empty) all."""

    prefix: str
    page_number: int
    page_size: int
    status: str = ""

    @property
    def offset(self) -> int:
        """Rows before the page."""
        return (self.page_number - 1) * self.page_size


class StreamQuery(NamedTuple):
    """The stream of one record's changes."""

    record_id: str


class DetailCountsQuery(NamedTuple):
    """The numbers of a record's details ``by`` their place; of one ``remote_cluster`` or (empty) all."""

    record_id: str
    by: Grouping = "cluster"
    remote_cluster: str = ""


class DetailExportQuery(NamedTuple):
    """All details of a record that meet ``filter``."""

    record_id: str
    format: ExportFormat
    filter: DetailFilter


class TaskRunsQuery(NamedTuple):
    """The ``last`` runs of some tasks, in this order."""

    task_keys: list[str]
    last: int


class FailureReasonsQuery(NamedTuple):
    """The ``limit`` most frequent reasons of a record's failures."""

    record_id: str
    limit: int


class SilentPageQuery(NamedTuple):
    """One page of the RUNNING records that had no event for longer than ``silent_for_s``."""

    silent_for_s: int
    page_number: int
    page_size: int

    @property
    def offset(self) -> int:
        """Rows before the page."""
        return (self.page_number - 1) * self.page_size
