"""Reads of records and details, without their versions; :mod:`replog.store.read.queries` adds these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from replog.lru_cache import LruCache
from replog.statuses import LETTERS, SORTED_LETTERS, STATUS_LETTERS, letters_of
from replog.store.client.command import Command
from replog.store.client.scripts import PAGE, TASK_PAGE
from replog.store.format.keys import RecordKeys, task_keys
from replog.store.format.rows import StoredDetail
from replog.store.read.bounded_reads import BYTES_A_CALL, completed, records_of, values_call
from replog.store.read.details.detail_search import SEARCH_LIMITS, Search, SearchLimits
from replog.store.read.newest_first import details_of, records_of_task
from replog.store.read.results import Page
from replog.store.read.versions import ATTEMPTS, COSTLY_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from replog.entities import Overview
    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.rows import StoredRecord
    from replog.store.read.details.matches import Matches
    from replog.store.read.filters import DetailFilter

    #: By record and filter.
    RememberedMatches: TypeAlias = LruCache[tuple[str, DetailFilter], "FilterMatches"]


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits of reads of one record or task."""

    #: Records of one step of a list.
    step: int = 250
    #: Details that are remembered as the matches of the filters that were read last, some 60 bytes each.
    remembered: int = 500_000
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


class FilterMatches(NamedTuple):
    """Details that met a filter when the record had this version: its counter, and the time of its last change."""

    version: tuple[bytes | None, bytes | None]
    matches: Matches


def remembered_matches(limits: ReadLimits) -> RememberedMatches:
    """A memory of matches, which has none yet."""
    return LruCache(limits.remembered, weight=_weight)


def _weight(known: FilterMatches) -> int:
    # Without any matches, too, it takes memory: some 1 KB.
    return _EMPTY_WEIGHT + len(known.matches)


_EMPTY_WEIGHT = 20


class Reader:
    """Reads of one record or task. What it has ``remembered`` of filters is used and added to.

    Every method raises :class:`~replog.errors.StoreUnavailable` where Redis does not answer.
    """

    def __init__(
        self,
        connection: CommandRunner,
        limits: ReadLimits = READ_LIMITS,
        remembered: RememberedMatches | None = None,
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._remembered = remembered_matches(limits) if remembered is None else remembered

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
        async for rows, _ in details_of(self._connection, keys, LETTERS, step):
            yield [StoredDetail(record_id, detail_id, value) for detail_id, value in rows]

    async def detail_page(
        self, record_id: str, flt: DetailFilter, offset: int, limit: int
    ) -> Page[StoredDetail] | None:
        """A page of the record's details; None where neither the record nor a detail of it was seen."""
        if flt.is_of_status:
            return await self._page_of_status(record_id, flt.status, offset, limit)
        remembered = await self._remembered_page(record_id, flt, offset, limit)
        return remembered or await self._searched_page(record_id, flt, offset, limit)

    async def _remembered_page(
        self, record_id: str, flt: DetailFilter, offset: int, limit: int
    ) -> Page[StoredDetail] | None:
        """The page of matches that are remembered; None where it is not, or the record has changed since."""
        known = self._remembered.get((record_id, flt))
        if known is None or not known.matches.has_page(offset, limit):
            return None
        known.matches.sort()
        page, version = await self._found_page(record_id, known.matches.total, known.matches.page(offset, limit))
        return page if version == known.version else None

    async def _searched_page(
        self, record_id: str, flt: DetailFilter, offset: int, limit: int
    ) -> Page[StoredDetail] | None:
        self._remembered.drop((record_id, flt))
        for attempt in range(1, ATTEMPTS + 1):
            found = await self._search(record_id, flt).page(offset, limit)
            if found is None:
                return None
            if found.values is not None:
                return Page(found.total, _details(record_id, found.ids, found.values))
            page, version = await self._found_page(record_id, found.total, found.ids)
            if version[0] == found.version:
                if found.matches is not None:
                    self._remembered.put((record_id, flt), FilterMatches(version, found.matches))
                break
            if found.matches is not None and attempt == COSTLY_ATTEMPTS:
                break
        return page

    async def _page_of_status(self, record_id: str, status: str, offset: int, limit: int) -> Page[StoredDetail] | None:
        keys = self._keys(record_id).all[:3]
        call = Command(PAGE, keys, [offset, limit, BYTES_A_CALL, b"".join(letters_of(status)), SORTED_LETTERS])
        ((version, total, ids, first),) = await self._connection.run([call])
        if version is None:
            return None
        return Page(total, _details(record_id, ids, await completed(self._connection, keys[1], ids, first)))

    async def _found_page(
        self, record_id: str, total: int, ids: list[bytes]
    ) -> tuple[Page[StoredDetail], tuple[bytes | None, bytes | None]]:
        """The page of these details, and the version that the record had then or later."""
        keys = self._keys(record_id)
        asks_version = Command("HMGET", [keys.record], ["v", "w"])
        calls = [values_call(keys.details, ids)] if ids else []
        *first, version = await self._connection.run([*calls, asks_version])
        values: Sequence[bytes | None] = first[0] if first else []
        if len(values) < len(ids):
            values = await completed(self._connection, keys.details, ids, values)
            (version,) = await self._connection.run([asks_version])
        return Page(total, _details(record_id, ids, values)), tuple(version)

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
