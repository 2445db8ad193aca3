"""Snapshots of records for clients that watch: each is read once an interval, and rendered once, for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from replog.errors import StoreUnavailable
from replog.statuses import RUNNING
from replog.telemetry import logger
from replog_api import metrics
from replog_api.http.etags import digest_of, opaque_of
from replog_api.queries.query_runner import Timed
from replog_api.queries.single_flight import SingleFlight

if TYPE_CHECKING:
    from replog.store.format.rows import StoredRecord
    from replog.store.read.record_queries import RecordQueries
    from replog.store.read.results import Versioned
    from replog_api.queries.query_runner import QueryRunner
    from replog_api.queries.render import Renderer
    from replog_api.queries.shared_answers import QueryKey

#: Stands in the id of an end event in place of a time.
_END = "end"


class RenderedSnapshot(NamedTuple):
    """A snapshot as the clients of one query get it; ``state_id`` and ``end_id`` are ids of events."""

    state_id: str
    end_id: str
    data: bytes


class Snapshot:
    """The state of a known record; one object for as long as it is shown the same."""

    def __init__(self, record: Versioned[StoredRecord]) -> None:
        self._record = record
        self._rendered: dict[QueryKey, RenderedSnapshot] = {}
        self._until_ms: int | None = None
        #: Time of the last change of the record or a detail of it.
        self.written_ms = record.data.written_ms
        self.finished = record.data.read().status != RUNNING

    def rendered(self, query_key: QueryKey, renderer: Renderer) -> RenderedSnapshot:
        """The snapshot for the clients of one query; ``renderer`` is as of now."""
        if query_key not in self._rendered:
            data = renderer.watched(self._record.data)
            if not self._rendered:
                # A later query may be rendered past this time; the clients of the first are still to learn of it.
                self._until_ms = renderer.until_ms
            digest = digest_of(query_key, self._record.version)
            state_id = opaque_of(digest, renderer.until_ms)
            self._rendered[query_key] = RenderedSnapshot(state_id, f"{digest}-{_END}", data)
        return self._rendered[query_key]

    def is_of(self, record: Versioned[StoredRecord], now_ms: int) -> bool:
        """Whether ``record``, which was just read, is shown as this snapshot is."""
        return (self._until_ms is None or now_ms < self._until_ms) and record == self._record


class Snapshots:
    """Reads snapshots; one instance a process."""

    def __init__(self, queries: RecordQueries, runner: QueryRunner) -> None:
        self._queries = queries
        self._runner = runner
        self._reads: SingleFlight[Snapshot | None] = SingleFlight(runner.timings.interval_s)
        #: The last snapshot by record, as long as a client holds it.
        self._last: WeakValueDictionary[str, Snapshot] = WeakValueDictionary()
        self._failing = False

    async def read(self, record_id: str) -> Snapshot | None:
        """The record as it is now; None where it is unknown. Of many calls, one an interval reads the store.

        As long as nothing changes, it is the same object.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        return await self._reads.ask(record_id, lambda: self._read(record_id))

    async def close(self) -> None:
        """Cancel all reads; nobody watches any more."""
        await self._reads.close()

    async def _read(self, record_id: str) -> Snapshot | None:
        try:
            with Timed("watch"):
                record = await self._queries.record(record_id)
        except StoreUnavailable as error:
            metrics.STORE_ERRORS.labels(error.kind).inc()
            self._note(failing=True, error=str(error), kind=error.kind)
            raise
        self._note(failing=False)
        if record is None:
            return None
        last = self._last.get(record_id)
        if last is None or not last.is_of(record, self._runner.now_ms()):
            last = self._last[record_id] = Snapshot(record)
        return last

    def _note(self, *, failing: bool, **why: str) -> None:
        """Log the beginning and the end of a time without the store, which all streams survive."""
        if failing and not self._failing:
            logger().warning("store_unavailable", **why)
        elif self._failing and not failing:
            logger().info("recovered")
        self._failing = failing
