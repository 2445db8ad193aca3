"""Records and details as the API's JSON, put together as bytes: no models on the way out. Pure."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from orjson import dumps

from replog.entities import is_stale

if TYPE_CHECKING:
    from collections.abc import Iterable
    from zoneinfo import ZoneInfo

    from replog.entities import Detail, Overview
    from replog.records import Progressed, Tallied
    from replog.store.rows import StoredDetail, StoredRecord
    from replog_api.parameters import Window

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOOL = (b"false}", b"true}")
#: Rows kept rendered, each some 1.5 KiB: dashboards that poll ask for the same ones over and over.
KEPT_ROWS = 8192
#: Seconds kept formatted: events of one page are close in time.
KEPT_SECONDS = 8192


class Renderer:
    """Renders in one time zone, as of ``now_ms``, calling stale what was silent for ``stale_after_s``."""

    __slots__ = ("_now_ms", "_stale_after_s", "_zone")

    def __init__(self, zone: ZoneInfo, *, now_ms: int, stale_after_s: int) -> None:
        self._zone = zone
        self._now_ms = now_ms
        self._stale_after_s = stale_after_s

    def record(self, stored: StoredRecord) -> bytes:
        """A Record of docs/api.md."""
        return self._completed(_record(stored, self._zone))

    def run(self, stored: StoredRecord) -> bytes:
        """The answer to ``GET /{recordId}``."""
        record = stored.read()
        return b'{"replicaObjectType":%b,"replicaType":%b,"record":%b}' % (
            dumps(record.replica_object_type),
            dumps(record.replica_type),
            self.record(stored),
        )

    def detail(self, stored: StoredDetail) -> bytes:
        """A Detail of docs/api.md."""
        return self._completed(_detail(stored, self._zone))

    def _completed(self, row: _Row) -> bytes:
        stale = is_stale(row.status, row.last_ms, now_ms=self._now_ms, stale_after_s=self._stale_after_s)
        return row.begun + _BOOL[stale]


class _Row(NamedTuple):
    """A row but for the value of ``stale``, which time alone changes."""

    begun: bytes
    status: str
    last_ms: int


@lru_cache(KEPT_ROWS)
def _record(stored: StoredRecord, zone: ZoneInfo) -> _Row:
    record = stored.read()
    begun = (
        b'{"id":%b,"taskKey":%b,"status":"%b","startTime":%b,"endTime":%b,"errorReason":%b,"replicatedBytes":%b,'
        b'"totalBytes":%b,"replicaOverview":%b,"lastEventTime":%b,"stale":'
    ) % (
        dumps(record.id),
        dumps(record.task_key),
        record.status.encode(),
        _time(record.start_ms, zone),
        _time(record.end_ms, zone),
        dumps(record.error_reason),
        dumps(record.replicated_bytes),
        dumps(record.total_bytes),
        overview(record.overview),
        _time(record.last_ms, zone),
    )
    return _Row(begun, record.status, record.last_ms)


@lru_cache(KEPT_ROWS)
def _detail(stored: StoredDetail, zone: ZoneInfo) -> _Row:
    detail = stored.read()
    begun = (
        b'{"id":%b,"recordId":%b,"localCluster":%b,"remoteCluster":%b,"localRepoName":%b,"repoType":%b,'
        b'"packageConstraint":%b,"pathConstraint":%b,"artifactName":%b,"version":%b,"conflictStrategy":%b,'
        b'"size":%b,"sha256":%b,"status":"%b","progress":%b,"startTime":%b,"endTime":%b,"errorReason":%b,'
        b'"lastEventTime":%b,"stale":'
    ) % (
        dumps(detail.id),
        dumps(detail.record_id),
        dumps(detail.local_cluster),
        dumps(detail.remote_cluster),
        dumps(detail.repo_name),
        dumps(detail.repo_type),
        _package(detail),
        b"null" if detail.path is None else b'{"path":%b}' % dumps(detail.path),
        dumps(detail.artifact_name),
        dumps(detail.version),
        dumps(detail.conflict_strategy),
        dumps(detail.size),
        dumps(detail.sha256),
        detail.status.encode(),
        progress(detail.progress),
        _time(detail.start_ms, zone),
        _time(detail.end_ms, zone),
        dumps(detail.error_reason),
        _time(detail.last_ms, zone),
    )
    return _Row(begun, detail.status, detail.last_ms)


def _time(ms: int | None, zone: ZoneInfo) -> bytes:
    if ms is None:
        return b"null"
    second, rest = divmod(ms, 1000)
    return b'"%b.%03d"' % (_second(second, zone), rest)


@lru_cache(KEPT_SECONDS)
def _second(second: int, zone: ZoneInfo) -> bytes:
    moment = _EPOCH + timedelta(seconds=second)
    # Within a day of the first or last year that a date can name, the zone's time has no name.
    with suppress(OverflowError):
        moment = moment.astimezone(zone)
    return moment.replace(tzinfo=None).isoformat(timespec="seconds").encode()


def _package(detail: Detail) -> bytes:
    key = detail.package_key if detail.package_key is not None else detail.package_name
    if key is None:
        return b"null"
    return b'{"packageKey":%b,"versions":%b}' % (dumps(key), dumps(detail.versions))


def overview(overview: Overview) -> bytes:
    """A roll-up of docs/api.md. Sums may exceed 64 bits, which the JSON library refuses."""
    return (
        b'{"success":%d,"failed":%d,"running":%d,"total":%d,"expected":%b,"skip":%d,"conflict":%d,"totalSize":%d}'
    ) % (
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
    """A detail's progress with the sums over what is known."""
    tallies = progress.tallies
    return b'{"blob":%b,"node":%b,"version":%b,"totalSize":%d,"success":%d,"skip":%d,"failed":%d}' % (
        _tally(progress.blob),
        _tally(progress.node),
        _tally(progress.version),
        progress.total_size,
        sum(tally.success for tally in tallies),
        progress.skip,
        sum(tally.failed for tally in tallies),
    )


def _tally(tally: Tallied | None) -> bytes:
    if tally is None:
        return b"null"
    return b'{"total":%d,"success":%d,"skip":%d,"failed":%d}' % tally


def page(window: Window, total: int, rows: Iterable[bytes]) -> bytes:
    """A Page of docs/api.md."""
    return b'{"pageNumber":%d,"pageSize":%d,"totalRecords":%d,"totalPages":%d,"records":[%b]}' % (
        window.number,
        window.size,
        total,
        -(-total // window.size),
        b",".join(rows),
    )
