"""Records and details as the API's JSON, put together as bytes: no models on the way out. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orjson import dumps

from replog.entities import is_stale

if TYPE_CHECKING:
    from collections.abc import Iterable
    from zoneinfo import ZoneInfo

    from replog.entities import Detail, Overview, Record
    from replog.records import Progressed, Tallied
    from replog_api.parameters import Window

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOOL = (b"false", b"true")


class Renderer:
    """Renders in one time zone, as of ``now_ms``, calling stale what was silent for ``stale_after_s``."""

    __slots__ = ("_now_ms", "_stale_after_s", "_zone")

    def __init__(self, zone: ZoneInfo, *, now_ms: int, stale_after_s: int) -> None:
        self._zone = None if zone.key == "UTC" else zone
        self._now_ms = now_ms
        self._stale_after_s = stale_after_s

    def record(self, record: Record) -> bytes:
        """A Record of docs/api.md."""
        return (
            b'{"id":%b,"taskKey":%b,"status":"%b","startTime":%b,"endTime":%b,"errorReason":%b,"replicatedBytes":%b,'
            b'"totalBytes":%b,"replicaOverview":%b,"lastEventTime":%b,"stale":%b}'
        ) % (
            dumps(record.id),
            dumps(record.task_key),
            record.status.encode(),
            self._time(record.start_ms),
            self._time(record.end_ms),
            dumps(record.error_reason),
            dumps(record.replicated_bytes),
            dumps(record.total_bytes),
            overview(record.overview),
            self._time(record.last_ms),
            self._stale(record),
        )

    def run(self, record: Record) -> bytes:
        """The answer to ``GET /{recordId}``."""
        return b'{"replicaObjectType":%b,"replicaType":%b,"record":%b}' % (
            dumps(record.replica_object_type),
            dumps(record.replica_type),
            self.record(record),
        )

    def detail(self, detail: Detail) -> bytes:
        """A Detail of docs/api.md."""
        return (
            b'{"id":%b,"recordId":%b,"localCluster":%b,"remoteCluster":%b,"localRepoName":%b,"repoType":%b,'
            b'"packageConstraint":%b,"pathConstraint":%b,"artifactName":%b,"version":%b,"conflictStrategy":%b,'
            b'"size":%b,"sha256":%b,"status":"%b","progress":%b,"startTime":%b,"endTime":%b,"errorReason":%b,'
            b'"lastEventTime":%b,"stale":%b}'
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
            self._time(detail.start_ms),
            self._time(detail.end_ms),
            dumps(detail.error_reason),
            self._time(detail.last_ms),
            self._stale(detail),
        )

    def _stale(self, entity: Record | Detail) -> bytes:
        return _BOOL[is_stale(entity.status, entity.last_ms, now_ms=self._now_ms, stale_after_s=self._stale_after_s)]

    def _time(self, ms: int | None) -> bytes:
        if ms is None:
            return b"null"
        moment = _EPOCH + timedelta(milliseconds=ms)
        if self._zone:
            moment = _in_zone(moment, self._zone)
        return b'"%b"' % moment.replace(tzinfo=None).isoformat(timespec="milliseconds").encode()


def _in_zone(moment: datetime, zone: ZoneInfo) -> datetime:
    try:
        return moment.astimezone(zone)
    except OverflowError:
        # Within a day of the years that a date can name: no calendar has that time in the zone.
        return moment


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
