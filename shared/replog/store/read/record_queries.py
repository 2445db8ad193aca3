"""Queries for one record and its details, each with its version."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from replog.store.read.bounded_reads import records_of
from replog.store.read.details.detail_counts import detail_counts
from replog.store.read.details.failure_reasons import failure_reasons
from replog.store.read.details.ordered_details import Bounds, ordered_details
from replog.store.read.details.silent_details import silent_details
from replog.store.read.ownership import task_keys_of
from replog.store.read.reader import READ_LIMITS, Reader, ReadLimits, remembered_matches
from replog.store.read.results import Versioned, VersionedSteps
from replog.store.read.versions import VersionRecorder, record_version, version_call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from replog.entities import Overview
    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.rows import StoredDetail, StoredRecord
    from replog.store.read.filters import DetailFilter
    from replog.store.read.results import DetailCount, FailureReasons, Grouping, Page, SilentDetails


class RecordQueries:
    """Queries for one record; a part of :class:`replog.store.read.queries.StoreQueries`."""

    def __init__(self, connection: CommandRunner, limits: ReadLimits = READ_LIMITS) -> None:
        self._connection = connection
        self._limits = limits
        self._bounds = Bounds(search=limits.search)
        self._matches = remembered_matches(limits)

    async def record_version(self, record_id: str) -> bytes:
        """The version of a record and its details: of each answer that :meth:`record` to :meth:`detail_list` give."""
        (found,) = await self._connection.run([version_call(self._connection.prefix, record_id)])
        return record_version(found[0], found[1])

    async def record(self, record_id: str) -> Versioned[StoredRecord] | None:
        """The record; None where no event of it was seen (its details alone do not make it known)."""
        record = await Reader(self._connection).record(record_id)
        return Versioned(record_version(record.counter, record.written), record) if record else None

    async def overview(self, record_id: str) -> Versioned[Overview | None]:
        """The record's roll-up; None where neither the record nor a detail of it was seen."""
        (record,) = await records_of(self._connection, [record_id])
        version = record_version(record.counter, record.written)
        return Versioned(version, record.read_overview() if record.exists else None)

    async def detail_page(
        self, record_id: str, flt: DetailFilter, offset: int, limit: int
    ) -> Versioned[Page[StoredDetail]] | None:
        """A page of the record's details; None where neither the record nor a detail of it was seen."""
        recorder = self._recorder(record_id)
        page = await Reader(recorder, self._limits, self._matches).detail_page(record_id, flt, offset, limit)
        if page is None:
            return None
        counter, written, _ = recorder.reply
        # A record that came between its version and its page: the next look at its version finds another one.
        return Versioned(os.urandom(16) if counter is None else record_version(counter, written), page)

    async def detail_list(self, record_id: str) -> VersionedSteps[StoredDetail]:
        """All details of the record."""
        recorder = self._recorder(record_id)
        steps = Reader(recorder, self._limits).details(record_id)
        first: list[StoredDetail] = await anext(steps, [])
        second = await anext(steps, None)
        counter, written, running = recorder.reply
        others = None if second is None else _beginning_with(second, steps)
        return VersionedSteps(record_version(counter, written), first, others, may_change=int(running or 0) > 0)

    async def detail_counts(
        self, record_id: str, by: Grouping, remote_cluster: str = ""
    ) -> Versioned[list[DetailCount]]:
        """The numbers of the record's details by place; see :mod:`replog.store.read.details.detail_counts`."""
        return await detail_counts(self._connection, record_id, by, remote_cluster)

    async def failure_reasons(self, record_id: str) -> Versioned[FailureReasons]:
        """Reasons for which details failed; see :func:`replog.store.read.details.failure_reasons.failure_reasons`."""
        return await failure_reasons(self._connection, record_id)

    async def silent_details(self, record_id: str, limit: int) -> Versioned[SilentDetails]:
        """The details that the record waits for; see :mod:`replog.store.read.details.silent_details`."""
        return await silent_details(self._connection, record_id, limit)

    async def export_details(self, record_id: str, flt: DetailFilter) -> VersionedSteps[StoredDetail]:
        """All details that meet a filter, newest first, however many."""
        ((counter, written, running),) = await self._connection.run([version_call(self._connection.prefix, record_id)])
        steps = ordered_details(self._connection, record_id, flt, self._bounds)
        # A store that is down says so here, before anything of the export is used.
        first: list[StoredDetail] = await anext(steps, [])
        return VersionedSteps(record_version(counter, written), first, steps, may_change=int(running or 0) > 0)

    async def task_keys_of(self, record_id: str) -> list[str]:
        """The keys of the record's tasks; none where it is unknown, or only details of it were seen."""
        return await task_keys_of(self._connection, record_id)

    def _recorder(self, record_id: str) -> VersionRecorder:
        return VersionRecorder(self._connection, version_call(self._connection.prefix, record_id))


async def _beginning_with(
    step: list[StoredDetail], others: AsyncIterator[list[StoredDetail]]
) -> AsyncIterator[list[StoredDetail]]:
    yield step
    async for other in others:
        yield other
