"""Forgetting records: what an erasure would take, its publication, and the wait until the store has taken it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from replog.errors import RecoverableError
from replog.store.read.bounded_reads import records_of
from replog.store.read.erasures import forgotten
from replog.store.read.reader import Reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from replog.events import RecordErased
    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.rows import StoredRecord

#: Records that are asked about at once.
ASKED_AT_ONCE = 500


class StillKnown(RecoverableError):  # noqa: N818 - named as the state it reports
    """The store has not forgotten all records in time. The erasures are in the topic: collectors apply them later."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that is to be forgotten. Of one whose details alone were seen, task and status are not known."""

    record_id: str
    task_key: str | None
    status: str | None
    details: int


class Store(Protocol):
    """The store, as it is read here."""

    async def record(self, record_id: str) -> StoredRecord:
        """The record, also where nothing of it was seen."""

    def records(self, task_key: str) -> AsyncIterator[list[StoredRecord]]:
        """All records of the task, in steps."""

    async def forgotten(self, erased_us: Mapping[str, int]) -> set[str]:
        """Those of the records that are forgotten up to these times in us."""


class StoredRecords:
    """The store behind ``connection``."""

    def __init__(self, connection: CommandRunner) -> None:
        self._connection = connection
        self._reader = Reader(connection)

    async def record(self, record_id: str) -> StoredRecord:
        """As :class:`Store`."""
        return (await records_of(self._connection, [record_id]))[0]

    def records(self, task_key: str) -> AsyncIterator[list[StoredRecord]]:
        """As :class:`Store`."""
        return self._reader.records(task_key)

    async def forgotten(self, erased_us: Mapping[str, int]) -> set[str]:
        """As :class:`Store`."""
        return await forgotten(self._connection, erased_us)


class Erasures(Protocol):
    """The topic; see :class:`replog.Publisher`."""

    async def erase(self, record_id: str, *, task_key: str | None = None) -> RecordErased:
        """Buffer the erasure of the record up to now; returns the event."""


@dataclass(frozen=True)
class Patience:
    """Time limits of the wait, in seconds."""

    #: Time without any record forgotten, after which the wait ends.
    patience_s: float = 60.0
    #: Between two questions to the store.
    interval_s: float = 0.2


_PATIENCE = Patience()


async def candidate_of(store: Store, record_id: str) -> list[Candidate]:
    """The record of this id; empty where the store knows neither it nor a detail of it."""
    record = await store.record(record_id)
    return [_candidate(record)] if record.exists else []


async def candidates_of_task(store: Store, task_key: str) -> list[Candidate]:
    """The records that the task's list has, newest first."""
    return [_candidate(record) async for step in store.records(task_key) for record in step]


def _candidate(record: StoredRecord) -> Candidate:
    details = record.read_overview().total
    if not record.known:
        return Candidate(record.record_id, None, None, details)
    known = record.read()
    return Candidate(record.record_id, known.task_key, known.status, details)


async def publish(
    erasures: Erasures, candidates: Sequence[Candidate], progress: Callable[[int, int], None]
) -> dict[str, int]:
    """Buffer an erasure of each; returns by record up to which time it is erased, in us.

    Raises:
        BrokerUnavailable: some could not be buffered.
    """
    erased_us = {}
    for number, candidate in enumerate(candidates, start=1):
        event = await erasures.erase(candidate.record_id, task_key=candidate.task_key)
        erased_us[candidate.record_id] = int(event.event_us)
        progress(number, len(candidates))
    return erased_us


async def wait(
    store: Store,
    erased_us: Mapping[str, int],
    progress: Callable[[int, int], None],
    *,
    patience: Patience = _PATIENCE,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Return once the store has forgotten all records up to these times.

    Raises:
        StillKnown: none was forgotten for some time.
        StoreUnavailable: the store does not answer.
    """
    left, moved_s = dict(erased_us), clock()
    while left:
        done = await _forgotten(store, left)
        left = {record_id: until_us for record_id, until_us in left.items() if record_id not in done}
        progress(len(erased_us) - len(left), len(erased_us))
        now_s = clock()
        moved_s = now_s if done else moved_s
        if left and now_s > moved_s + patience.patience_s:
            raise StillKnown(
                f"{len(left)} of {len(erased_us)} records are not forgotten {patience.patience_s:g} s after the last; "
                "their erasures are in the topic, and collectors apply them when they come to them (replog lag)"
            )
        if left:
            await asyncio.sleep(patience.interval_s)


async def _forgotten(store: Store, erased_us: Mapping[str, int]) -> set[str]:
    ids, found = list(erased_us), set[str]()
    for i in range(0, len(ids), ASKED_AT_ONCE):
        found |= await store.forgotten({record_id: erased_us[record_id] for record_id in ids[i : i + ASKED_AT_ONCE]})
    return found
