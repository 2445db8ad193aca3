"""Records as those see them who watch: read once an interval, and put into words once, for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from replog.errors import StoreUnavailable
from replog.statuses import RUNNING
from replog.store.read.reader import Reader
from replog.store.read.versions import VersionRecorder, record_version
from replog.telemetry import logger
from replog_api.admission.waiting_clients import INTERVAL_S
from replog_api.http.etags import digest_of, opaque_of
from replog_api.queries.query_runner import timed
from replog_api.queries.single_flight import SingleFlight

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.rows import StoredRecord
    from replog_api.queries.query_runner import QueryKey, QueryRunner
    from replog_api.queries.render import Renderer

#: What the id of an end event has in place of a time.
_END = "end"


class RenderedSnapshot(NamedTuple):
    """What is said of a sight to those who asked one question; ``state_id`` and ``end_id`` are ids of events."""

    state_id: str
    end_id: str
    data: bytes


class Snapshot:
    """A known record as it is seen, for as long as that is the same."""

    def __init__(self, record: StoredRecord, version: bytes, written_ms: int) -> None:
        self._record = record
        self._version = version
        self._told: dict[QueryKey, RenderedSnapshot] = {}
        self._until_ms: int | None = None
        #: When the record or a detail of it changed last.
        self.written_ms = written_ms
        self.finished = record.read().status != RUNNING

    def told(self, query_key: QueryKey, renderer: Renderer) -> RenderedSnapshot:
        """It in words; ``renderer`` is as of now."""
        if query_key not in self._told:
            data = renderer.watched(self._record)
            if not self._told:
                # Whoever is told later may be told that this moment has come; the others are still to be.
                self._until_ms = renderer.until_ms
            digest = digest_of(query_key, self._version)
            self._told[query_key] = RenderedSnapshot(opaque_of(digest, renderer.until_ms), f"{digest}-{_END}", data)
        return self._told[query_key]

    def is_of(self, record: StoredRecord, version: bytes, now_ms: int) -> bool:
        """Whether a record that was just read is seen like this."""
        if self._until_ms is not None and now_ms >= self._until_ms:
            return False
        return version == self._version and record == self._record


class Snapshots:
    """Looks at records; one instance a process."""

    def __init__(self, connection: CommandRunner, runner: QueryRunner) -> None:
        self._connection = connection
        self._runner = runner
        self._looks: SingleFlight[Snapshot | None] = SingleFlight(INTERVAL_S)
        #: By record, as long as somebody looks at it.
        self._seen: WeakValueDictionary[str, Snapshot] = WeakValueDictionary()
        self._failing = False

    async def look(self, record_id: str) -> Snapshot | None:
        """The record as it is now; None where it is unknown. Who looks again and again does so once an interval.

        As long as nothing changes, it is the same object.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        return await self._looks.ask(record_id, lambda: self._read(record_id))

    async def close(self) -> None:
        """End the looks that are under way; nobody watches any more."""
        await self._looks.close()

    async def _read(self, record_id: str) -> Snapshot | None:
        recorder = VersionRecorder(self._connection)
        try:
            with timed("watch"):
                record = await Reader(recorder).record(record_id)
        except StoreUnavailable as error:
            self._note(failing=True, error=str(error), kind=error.kind)
            raise
        self._note(failing=False)
        if record is None:
            return None
        (row,) = recorder.rows
        version = record_version(row.counter, row.written)
        seen = self._seen.get(record_id)
        if seen is None or not seen.is_of(record, version, self._runner.now_ms()):
            seen = self._seen[record_id] = Snapshot(record, version, int(row.written or 0))
        return seen

    def _note(self, *, failing: bool, **why: str) -> None:
        """Log the beginning and the end of a time without the store, which all streams survive."""
        if failing and not self._failing:
            logger().warning("store_unavailable", **why)
        elif self._failing and not failing:
            logger().info("recovered")
        self._failing = failing
