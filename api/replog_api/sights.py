"""Records as those see them who watch: read once an interval, and put into words once, for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from replog.errors import StoreUnavailable
from replog.records import RUNNING
from replog.store.reader import Reader
from replog.store.versions import Witness, record_version
from replog.telemetry import logger
from replog_api.answering import timed
from replog_api.conditional import digest_of, opaque_of
from replog_api.gathering import Gathering
from replog_api.watchers import INTERVAL_S

if TYPE_CHECKING:
    from replog.store.rows import StoredRecord
    from replog.store.sharing import Runs
    from replog_api.answering import Question
    from replog_api.render import Renderer

#: What the id of an end event has in place of a time.
_END = "end"


class Told(NamedTuple):
    """What is said of a sight to those who asked one question; ``state_id`` and ``end_id`` are ids of events."""

    state_id: str
    end_id: str
    data: bytes


class Sight:
    """A known record as it was read at one moment."""

    def __init__(self, record: StoredRecord, version: bytes, written_ms: int) -> None:
        self._record = record
        self._version = version
        self._told: dict[Question, Told] = {}
        #: When the record or a detail of it changed last.
        self.written_ms = written_ms
        self.finished = record.read().status != RUNNING

    def told(self, question: Question, renderer: Renderer) -> Told:
        """It in words; ``renderer`` is as of the moment of reading, or just after."""
        if question not in self._told:
            data = renderer.watched(self._record)
            digest = digest_of(question, self._version)
            self._told[question] = Told(opaque_of(digest, renderer.until_ms), f"{digest}-{_END}", data)
        return self._told[question]


class Sights:
    """Looks at records; one instance a process."""

    def __init__(self, connection: Runs) -> None:
        self._connection = connection
        self._looks: Gathering[Sight | None] = Gathering(INTERVAL_S)
        self._failing = False

    async def look(self, record_id: str) -> Sight | None:
        """The record as it is now; None where it is unknown. Who looks again and again gets one each interval.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        return await self._looks.ask(record_id, lambda: self._read(record_id))

    async def _read(self, record_id: str) -> Sight | None:
        witness = Witness(self._connection)
        try:
            with timed("watch"):
                record = await Reader(witness).record(record_id)
        except StoreUnavailable as error:
            self._note(failing=True, error=str(error), kind=error.kind)
            raise
        self._note(failing=False)
        if record is None:
            return None
        (row,) = witness.rows
        return Sight(record, record_version(row.counter, row.written), int(row.written or 0))

    def _note(self, *, failing: bool, **why: str) -> None:
        """Log the beginning and the end of a time without the store, which all streams survive."""
        if failing and not self._failing:
            logger().warning("store_unavailable", **why)
        elif self._failing and not failing:
            logger().info("recovered")
        self._failing = failing
