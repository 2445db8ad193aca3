"""Records and details as the API's JSON. Pure.

Keys and their order are those of :mod:`replog.fields`; values stand in the order of its rows. Most facts are copied as
they are stored (:mod:`replog.raw_entities`). The JSON of a record itself is made by :mod:`replog.answers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from replog.answers import (
    answer_type,
    encode,
    local_end,
    local_time,
    local_times,
    overview_answer,
    record_answer,
)
from replog.entities import stale_from
from replog.fields import DETAIL, PACKAGE, PATH, PROGRESS, RUN, TALLY
from replog.store.format.rows import raw_details

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

    from replog.entities import Overview
    from replog.raw_entities import RawDetail, RawRecord
    from replog.records import Progressed, Tallied
    from replog.store.format.rows import StoredRecord, StoredTask
    from replog.store.read.results import DetailCount, FailureReasons, SilentDetails, SilentRecord, TaskRuns
    from replog_api.http.query_values import PageQuery

_Run = answer_type("Run", RUN)
_Detail = answer_type("Detail", DETAIL)
_Package = answer_type("Package", PACKAGE)
_Path = answer_type("Path", PATH)
_Progress = answer_type("Progress", PROGRESS)
_Tally = answer_type("Tally", TALLY)


class _DetailCounts(Struct, rename="camel", gc=False):
    """Made by position, as there may be ten thousand."""

    remote_cluster: str | None
    local_repo_name: str | None
    success: int
    failed: int
    running: int
    total: int


class _TaskRun(Struct, rename="camel", gc=False):
    """One of at most two thousand."""

    id: str
    status: str
    start_time: str
    end_time: str | None


class _TaskRuns(Struct, rename="camel", gc=False):
    """One of at most two thousand."""

    task_key: str
    total_records: int
    runs: list[_TaskRun]


#: The facts that a run shows, and what it shows where they are absent.
_RUN_FACTS = [(field.name, field.default) for field in RUN if field.default]


class RecordRow(Protocol):
    """A record to render: :class:`replog.store.format.rows.StoredRecord`, or one that was folded from events."""

    @property
    def record_id(self) -> str:
        """Its id."""

    def read_raw(self) -> RawRecord:
        """The content of its registers."""


class Renderer:
    """Renders in one time zone, as of ``now_ms``, calling stale what was silent for ``stale_after_s``."""

    __slots__ = ("_now_ms", "_stale_after_s", "_zone", "until_ms")

    def __init__(self, zone: tzinfo, *, now_ms: int, stale_after_s: int) -> None:
        self._zone = zone
        self._now_ms = now_ms
        self._stale_after_s = stale_after_s
        #: When the first of the rows rendered so far will be stale that is not yet; None where none will.
        self.until_ms: int | None = None

    def record(self, stored: RecordRow) -> bytes:
        """A Record of docs/api.md."""
        return encode(self._record(stored, stored.read_raw()))

    def task(self, stored: StoredTask) -> bytes:
        """A Task of docs/api.md."""
        record = self.record(stored.record) if stored.record else b"null"
        return b'{"taskKey":%b,"record":%b}' % (encode(stored.key), record)

    def run(self, stored: RecordRow) -> bytes:
        """The answer to ``GET /{recordId}``."""
        record = stored.read_raw()
        # The API's own clients take no null there.
        facts = [getattr(record.facts, name) or default for name, default in _RUN_FACTS]
        return encode(_Run(*facts, self._record(stored, record)))

    def watched(self, stored: StoredRecord) -> bytes:
        """The data of an event of a stream, but for why it ended."""
        return b'%b,"overview":%b}' % (self.run(stored)[:-1], overview(stored.read_overview()))

    def silent(self, silent: SilentRecord) -> bytes:
        """A SilentRecord of docs/api.md."""
        active = local_time(silent.active_ms, self._zone)
        return b'{"record":%b,"lastActivityTime":%b}' % (self.record(silent.record), encode(active))

    def silent_details(self, found: SilentDetails) -> bytes:
        """A SilentDetails of docs/api.md."""
        overview = found.overview
        expected = overview.expected if overview else None
        missing = None if overview is None or expected is None else max(0, expected - overview.total)
        numbers = {
            "lastActivityTime": None if found.active_ms is None else local_time(found.active_ms, self._zone),
            "expected": expected,
            "missing": missing,
            "running": overview.running if overview else 0,
            "examined": found.examined,
        }
        return b'%b,"details":%b}' % (encode(numbers)[:-1], self.details(raw_details(found.details)))

    def task_runs(self, task: TaskRuns) -> bytes:
        """A TaskRuns of docs/api.md."""
        runs = [
            _TaskRun(
                run.id,
                run.status,
                local_time(run.start_ms, self._zone),
                None if run.end_ms is None else local_time(run.end_ms, self._zone),
            )
            for run in task.runs
        ]
        return encode(_TaskRuns(task.task_key, task.total, runs))

    def details(self, details: Sequence[RawDetail]) -> bytes:
        """An array of Details of docs/api.md."""
        # All at once: encoding each by itself takes twice as long.
        return encode(self.detail_objects(details))

    def detail_objects(self, details: Sequence[RawDetail]) -> list[Struct]:
        """The same, to be encoded."""
        starts = local_times([detail.start_ms for detail in details], self._zone)
        lasts = local_times([detail.last_ms for detail in details], self._zone)
        return list(map(self._detail, details, starts, lasts))

    def _detail(self, detail: RawDetail, start: str, last: str) -> Struct:
        facts, end_ms = detail.facts, detail.end_ms
        return _Detail(
            detail.id,
            detail.record_id,
            facts.local_cluster or "",
            facts.remote_cluster or "",
            facts.repo_name or "",
            facts.repo_type.upper(),
            _package(facts),
            None if facts.path is None else _Path(facts.path),
            facts.artifact_name,
            facts.version,
            facts.conflict_strategy and facts.conflict_strategy.upper(),
            facts.size,
            facts.sha256,
            detail.status,
            _progress(detail.progress),
            start,
            last if end_ms == detail.last_ms else local_end(end_ms, self._zone),
            detail.error_reason,
            last,
            end_ms is None and self._stale(detail.last_ms),
        )

    def _record(self, stored: RecordRow, record: RawRecord) -> Struct:
        stale = record.end_ms is None and self._stale(record.last_ms)
        return record_answer(stored.record_id, record, self._zone, stale=stale)

    def _stale(self, last_ms: int) -> bool:
        """Whether what is RUNNING, and had its last event then, is stale."""
        until_ms = stale_from(last_ms, stale_after_s=self._stale_after_s)
        if self._now_ms >= until_ms:
            return True
        self.until_ms = until_ms if self.until_ms is None else min(self.until_ms, until_ms)
        return False


def _package(facts: Any) -> Struct | None:
    key = facts.package_name if facts.package_key is None else facts.package_key
    if key is None:
        return None
    versions = facts.versions
    if versions is None and facts.version is not None:
        versions = [facts.version]
    return _Package(key, versions)


def detail_counts(counts: Iterable[DetailCount]) -> bytes:
    """An array of DetailCounts of docs/api.md."""
    return encode(
        [_DetailCounts(of.remote_cluster, of.repo_name, of.success, of.failed, of.running, of.total) for of in counts]
    )


def failure_reasons(found: FailureReasons, limit: int) -> bytes:
    """FailureReasons of docs/api.md, limited to the first ``limit`` reasons."""
    reasons = [
        {
            "errorReason": reason.reason,
            "failed": reason.failed,
            "remoteClusters": reason.remote_clusters,
            "detailId": reason.detail_id,
        }
        for reason in found.reasons[:limit]
    ]
    return encode({"failed": found.failed, "examined": found.examined, "reasons": reasons})


def overview(overview: Overview) -> bytes:
    """A roll-up of docs/api.md. Its sums may exceed 64 bits."""
    return encode(overview_answer(overview, overview.expected))


def _progress(progress: Progressed) -> Struct:
    """A detail's progress, and beside it the numbers of artifacts."""
    blob, node, total_size, version = progress
    failed, skip, success, _ = progress.artifacts
    return _Progress(
        blob and _tally(blob),
        node and _tally(node),
        version and _tally(version),
        total_size,
        success,
        skip,
        failed,
    )


def _tally(tally: Tallied) -> Struct:
    failed, skip, success, total = tally
    return _Tally(total, success, skip, failed)


def page(query: PageQuery, total: int, rows: bytes) -> bytes:
    """A Page of docs/api.md; ``rows`` are an array."""
    return b'{"pageNumber":%d,"pageSize":%d,"totalRecords":%d,"totalPages":%d,"records":%b}' % (
        query.page_number,
        query.page_size,
        total,
        -(-total // query.page_size),
        rows,
    )
