"""Reads of records and details, without their versions; :mod:`replog.store.read.queries` adds these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from replog.statuses import LETTERS, SORTED_LETTERS, STATUS_LETTERS, letters_of
from replog.store.client.command import Command
from replog.store.client.scripts import PAGE, TASK_PAGE
from replog.store.format.keys import RecordKeys, task_keys
from replog.store.format.rows import StoredDetail
from replog.store.read.bounded_reads import BYTES_A_CALL, completed, records_of, values_call
from replog.store.read.details.detail_search import SEARCH_LIMITS, Search, SearchLimits, SearchResult
from replog.store.read.newest_first import details_of, records_of_task
from replog.store.read.results import Page
from replog.store.read.versions import ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from replog.entities import Overview
    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.rows import StoredRecord
    from replog.store.read.filters import DetailFilter


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits of reads of one record or task."""

    #: Records of one step of a list.
    step: int = 250
    search: SearchLimits = SEARCH_LIMITS


READ_LIMITS = ReadLimits()


class RecordPage(NamedTuple):
    """A page of a task's records: how many all pages have, and those of this page that the task's list names.

    ``read`` has also those that are not there any more: retention may have removed a record before its list says so.
    """

    total: int
    read: list[StoredRecord]

    @property
    def rows(self) -> list[StoredRecord]:
        """The records that are there."""
        return known_of(self.read)


class Reader:
    """Reads of one record or task.

    Every method raises :class:`~replog.errors.StoreUnavailable` where Redis does not answer.
    """

    def __init__(self, connection: CommandRunner, limits: ReadLimits = READ_LIMITS) -> None:
        self._connection = connection
        self._limits = limits

    async def record(self, record_id: str) -> StoredRecord | None:
        """The record; None where no event of it was seen (its details alone do not make it known)."""
        (record,) = await records_of(self._connection, [record_id])
        return record if record.known else None

    async def overview(self, record_id: str) -> Overview | None:
        """The record's roll-up; None where neither the record nor a detail of it was seen."""
        (record,) = await records_of(self._connection, [record_id])
        return record.read_overview() if record.exists else None

    async def record_page(self, task_key: str, status: str, offset: int, limit: int) -> RecordPage | None:
        """A page of the task's records, of one status or (empty) all; None where the task is unknown."""
        keys = task_keys(self._connection.prefix, task_key)[1:]
        letter = STATUS_LETTERS[status] if status else b""
        ((known, total, ids),) = await self._connection.run([Command(TASK_PAGE, keys, [offset, limit, letter])])
        if not known:
            return None
        return RecordPage(total, await self._records(ids))

    async def records(self, task_key: str) -> AsyncIterator[list[StoredRecord]]:
        """All records of the task, newest first, in steps."""
        async for step in self.listed_records(task_key):
            yield known_of(step)

    async def listed_records(self, task_key: str) -> AsyncIterator[list[StoredRecord]]:
        """All records that the task's list names, as above, with those that are not there any more."""
        time_key = task_keys(self._connection.prefix, task_key)[1]
        async for ids in records_of_task(self._connection, time_key, self._limits.step):
            yield await self._records(ids)

    async def details(self, record_id: str) -> AsyncIterator[list[StoredDetail]]:
        """All details of the record, newest first, in steps."""
        keys, step = self._keys(record_id), self._limits.search.step
        async for rows in details_of(self._connection, keys, LETTERS, step):
            yield [StoredDetail(record_id, detail_id, value) for detail_id, value in rows]

    async def detail_page(
        self, record_id: str, flt: DetailFilter, offset: int, limit: int
    ) -> Page[StoredDetail] | None:
        """A page of the record's details; None where neither the record nor a detail of it was seen."""
        if flt.is_of_status:
            return await self._page_of_status(record_id, flt.status, offset, limit)
        for _ in range(ATTEMPTS):
            found = await self._search(record_id, flt).page(offset, limit)
            if found is None:
                return None
            page, version = await self._found_page(record_id, found)
            if version == found.version:
                break
        return page

    async def _page_of_status(self, record_id: str, status: str, offset: int, limit: int) -> Page[StoredDetail] | None:
        keys = self._keys(record_id).all[:3]
        call = Command(PAGE, keys, [offset, limit, BYTES_A_CALL, b"".join(letters_of(status)), SORTED_LETTERS])
        ((known, total, ids, first),) = await self._connection.run([call])
        if not known:
            return None
        return Page(total, _details(record_id, ids, await completed(self._connection, keys[1], ids, first)))

    async def _found_page(self, record_id: str, found: SearchResult) -> tuple[Page[StoredDetail], bytes | None]:
        keys, ids = self._keys(record_id), found.ids
        asks_version = Command("HGET", [keys.record], ["v"])
        calls = [values_call(keys.details, ids)] if ids else []
        *first, version = await self._connection.run([*calls, asks_version])
        values: Sequence[bytes | None] = first[0] if first else []
        if len(values) < len(ids):
            values = await completed(self._connection, keys.details, ids, values)
            (version,) = await self._connection.run([asks_version])
        return Page(found.total, _details(record_id, ids, values)), version

    async def _records(self, ids: Sequence[bytes]) -> list[StoredRecord]:
        return await records_of(self._connection, [raw.decode() for raw in ids])

    def _search(self, record_id: str, flt: DetailFilter) -> Search:
        return Search(self._connection, self._keys(record_id), flt, self._limits.search)

    def _keys(self, record_id: str) -> RecordKeys:
        return RecordKeys(self._connection.prefix, record_id)


def known_of(records: Iterable[StoredRecord]) -> list[StoredRecord]:
    """Those of ``records`` that are there."""
    return [record for record in records if record.known]


def _details(record_id: str, ids: Iterable[bytes], values: Iterable[bytes | None]) -> list[StoredDetail]:
    return [
        StoredDetail(record_id, detail_id, value)
        for detail_id, value in zip(ids, values, strict=True)
        if value is not None
    ]
