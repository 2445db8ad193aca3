"""Records and details as the API's JSON, put together as bytes: no models on the way out. Pure.

Keys and their order are those of :mod:`replog.fields`; values stand in the order of its rows.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from orjson import Fragment, dumps

from replog.entities import is_stale, stale_from
from replog.fields import DETAIL, OVERVIEW, PACKAGE, PATH, PROGRESS, RECORD, RUN, TALLY
from replog.statuses import RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

    from replog.entities import Detail, Overview
    from replog.fields import Field
    from replog.records import Progressed, Tallied
    from replog.store.format.rows import StoredDetail, StoredRecord, StoredTask
    from replog.store.read.results import DetailCount, FailureReasons, SilentRecord, TaskRuns
    from replog_api.http.query_values import PageQuery

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOOL = (b"false}", b"true}")
#: Rows kept rendered, each some 1.5 KiB: dashboards that poll ask for the same ones over and over.
KEPT_ROWS = 2048
#: Seconds kept formatted: events of one page are close in time.
KEPT_SECONDS = 8192


class Renderer:
    """Renders in one time zone, as of ``now_ms``, calling stale what was silent for ``stale_after_s``."""

    __slots__ = ("_now_ms", "_stale_after_s", "_zone", "until_ms")

    def __init__(self, zone: tzinfo, *, now_ms: int, stale_after_s: int) -> None:
        self._zone = zone
        self._now_ms = now_ms
        self._stale_after_s = stale_after_s
        #: When the first of the rows rendered so far will be stale that is not yet; None where none will.
        self.until_ms: int | None = None

    def record(self, stored: StoredRecord) -> bytes:
        """A Record of docs/api.md."""
        return self._completed(_record(stored, self._zone))

    def task(self, stored: StoredTask) -> bytes:
        """A Task of docs/api.md."""
        record = self.record(stored.record) if stored.record else b"null"
        return b'{"taskKey":%b,"record":%b}' % (dumps(stored.key), record)

    def run(self, stored: StoredRecord) -> bytes:
        """The answer to ``GET /{recordId}``."""
        record = stored.read()
        # The API's own clients take no null there.
        facts = [dumps(getattr(record, name) or default) for name, default in _RUN_FACTS]
        return _RUN % (*facts, self.record(stored))

    def watched(self, stored: StoredRecord) -> bytes:
        """The data of an event of a stream, but for why it ended."""
        return b'%b,"overview":%b}' % (self.run(stored)[:-1], overview(stored.read_overview()))

    def silent(self, silent: SilentRecord) -> bytes:
        """A SilentRecord of docs/api.md."""
        active = _time(silent.active_ms, self._zone)
        return b'{"record":%b,"lastActivityTime":%b}' % (self.record(silent.record), dumps(active))

    def task_runs(self, task: TaskRuns) -> bytes:
        """A TaskRuns of docs/api.md."""
        runs = [
            {
                "id": run.id,
                "status": run.status,
                "startTime": _time(run.start_ms, self._zone),
                "endTime": _time(run.end_ms, self._zone),
            }
            for run in task.runs
        ]
        return dumps({"taskKey": task.task_key, "totalRecords": task.total, "runs": runs})

    def detail(self, stored: StoredDetail) -> bytes:
        """A Detail of docs/api.md."""
        return self._completed(_detail(stored, self._zone))

    def _completed(self, row: _Row) -> bytes:
        stale = is_stale(row.status, row.last_ms, now_ms=self._now_ms, stale_after_s=self._stale_after_s)
        if row.status == RUNNING and not stale:
            until_ms = stale_from(row.last_ms, stale_after_s=self._stale_after_s)
            self.until_ms = until_ms if self.until_ms is None else min(self.until_ms, until_ms)
        return row.begun + _BOOL[stale]


class _Row(NamedTuple):
    """A row but for the value of ``stale``, which time alone changes."""

    begun: bytes
    status: str
    last_ms: int


*_RECORD_KEYS, _ = (field.key for field in RECORD if field.key)
*_DETAIL_KEYS, _STALE = (field.key for field in DETAIL if field.key)
_END = b',"%b":' % _STALE.encode()


@lru_cache(KEPT_ROWS)
def _record(stored: StoredRecord, zone: tzinfo) -> _Row:
    record = stored.read()
    values = (
        record.id,
        record.task_key,
        record.status,
        _time(record.start_ms, zone),
        _time(record.end_ms, zone),
        record.error_reason,
        record.replicated_bytes,
        record.total_bytes,
        Fragment(overview(record.overview)),
        _time(record.last_ms, zone),
    )
    return _Row(_begun(_RECORD_KEYS, values), record.status, record.last_ms)


@lru_cache(KEPT_ROWS)
def _detail(stored: StoredDetail, zone: tzinfo) -> _Row:
    detail = stored.read()
    values = (
        detail.id,
        detail.record_id,
        detail.local_cluster or "",
        detail.remote_cluster or "",
        detail.repo_name or "",
        detail.repo_type.upper(),
        _package(detail),
        None if detail.path is None else {_PATH_KEY: detail.path},
        detail.artifact_name,
        detail.version,
        detail.conflict_strategy and detail.conflict_strategy.upper(),
        detail.size,
        detail.sha256,
        detail.status,
        Fragment(progress(detail.progress)),
        _time(detail.start_ms, zone),
        _time(detail.end_ms, zone),
        detail.error_reason,
        _time(detail.last_ms, zone),
    )
    return _Row(_begun(_DETAIL_KEYS, values), detail.status, detail.last_ms)


def _begun(keys: Sequence[str], values: tuple[object, ...]) -> bytes:
    return dumps(dict(zip(keys, values, strict=True)))[:-1] + _END


def _time(ms: int | None, zone: tzinfo) -> str | None:
    if ms is None:
        return None
    second, rest = divmod(ms, 1000)
    return f"{_second(second, zone)}.{rest:03d}"


@lru_cache(KEPT_SECONDS)
def _second(second: int, zone: tzinfo) -> str:
    moment = _EPOCH + timedelta(seconds=second)
    # Within a day of the first or last year that a date can name, the zone's time has no name.
    with suppress(OverflowError):
        moment = moment.astimezone(zone)
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


def _package(detail: Detail) -> dict[str, Any] | None:
    key = detail.package_key if detail.package_key is not None else detail.package_name
    if key is None:
        return None
    versions = detail.versions
    if versions is None and detail.version is not None:
        versions = [detail.version]
    return {_PACKAGE_KEY: key, _VERSIONS_KEY: versions}


[_PACKAGE_KEY, _VERSIONS_KEY] = [field.key for field in PACKAGE if field.key]
[_PATH_KEY] = [field.key for field in PATH if field.key]


def _object(table: Iterable[Field], other: str = "") -> bytes:
    """The pattern of an object whose values are integers, but for those of the names in ``other``, which are JSON."""
    named = [(field.key.encode(), b"b" if field.name in other.split() else b"d") for field in table if field.key]
    return b"{%b}" % b",".join(b'"%b":%%%b' % part for part in named)


_RUN = _object(RUN, "replica_object_type replica_type record")
_RUN_FACTS = [(field.name, field.default) for field in RUN if field.default]
_OVERVIEW = _object(OVERVIEW, "expected")
_PROGRESS = _object(PROGRESS, "blob node version")
_TALLY = _object(TALLY)


def detail_counts(counts: Iterable[DetailCount]) -> bytes:
    """An array of DetailCounts of docs/api.md."""
    return dumps(
        [
            {
                "remoteCluster": count.remote_cluster,
                "localRepoName": count.repo_name,
                "success": count.success,
                "failed": count.failed,
                "running": count.running,
                "total": count.total,
            }
            for count in counts
        ]
    )


def failure_reasons(found: FailureReasons, limit: int) -> bytes:
    """FailureReasons of docs/api.md, of which the first ``limit`` are told."""
    reasons = [
        {
            "errorReason": reason.reason,
            "failed": reason.failed,
            "remoteClusters": reason.remote_clusters,
            "detailId": reason.detail_id,
        }
        for reason in found.reasons[:limit]
    ]
    return dumps({"failed": found.failed, "examined": found.examined, "reasons": reasons})


def overview(overview: Overview) -> bytes:
    """A roll-up of docs/api.md. Sums may exceed 64 bits, which the JSON library refuses."""
    return _OVERVIEW % (
        overview.success,
        overview.failed,
        overview.running,
        overview.total,
        dumps(overview.expected),
        overview.skip,
        overview.conflict,
        overview.total_size,
    )


def progress(progress: Progressed) -> bytes:
    """A detail's progress, and beside it the numbers of artifacts."""
    _, success, skip, failed = progress.artifacts
    return _PROGRESS % (
        _tally(progress.blob),
        _tally(progress.node),
        _tally(progress.version),
        progress.total_size,
        success,
        skip,
        failed,
    )


def _tally(tally: Tallied | None) -> bytes:
    if tally is None:
        return b"null"
    return _TALLY % tally


def page(query: PageQuery, total: int, rows: Iterable[bytes]) -> bytes:
    """A Page of docs/api.md."""
    return b'{"pageNumber":%d,"pageSize":%d,"totalRecords":%d,"totalPages":%d,"records":[%b]}' % (
        query.page_number,
        query.page_size,
        total,
        -(-total // query.page_size),
        b",".join(rows),
    )
