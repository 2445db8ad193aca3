"""RUNNING records that are silent: neither they nor any of their details had an event for some time.

Each bucket knows its RUNNING records by the time of their own last event, and all records by that of the last event of
their details, too. So candidates are read from the first, in order, as far as they are silent themselves, and looked up
in the second: 500 a call. The count is exact. Only rows that may be on the page are listed: none whose last event is
later than that of as many rows as the page and those before it have.

An event that is dated ahead of the clock counts as of its own time where it is of the record, and as of when it came
where it is of a detail.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from replog.entities import stale_until
from replog.store.client.command import Command
from replog.store.client.scripts import SILENT
from replog.store.format.keys import BUCKETS, BucketKeys, RecordKeys
from replog.store.read.bounded_reads import records_of
from replog.store.read.results import Page, SilentRecord, Versioned
from replog.store.read.versions import digest_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replog.store.client.pipelining import CommandRunner

#: Candidates of one call, and calls sent at once; fewer at first, as what these list need not be listed later.
CANDIDATES_A_CALL, CALLS_AT_FIRST, CALLS_AT_ONCE = 500, 4, 16
#: Silent records whose tasks are looked up at once.
OWNERS_AT_ONCE = 128
#: Later than any time.
_FOREVER_MS = 1 << 53
#: Score and id before those of every record.
_BEGIN = (b"", b"")


_pack = msgpack.Packer().pack


class _Found(NamedTuple):
    """In the order of a page: longest silent first, then by id."""

    active_ms: int
    record_id: bytes


async def silent_records(
    connection: CommandRunner, *, now_ms: int, silent_for_s: int, offset: int, limit: int, prefix: str = ""
) -> Versioned[Page[SilentRecord]]:
    """A page of the records that had no event for longer than ``silent_for_s``, longest silent first, then by id.

    Only records count that belong to a task whose key begins with ``prefix``.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    until_ms = stale_until(now_ms, stale_after_s=silent_for_s)
    total, found = await _Survey(connection, until_ms, offset + limit, prefix).found()
    rows = found[offset:]
    records = await records_of(connection, [row.record_id.decode() for row in rows])
    # Retention may have taken one that was there a moment ago.
    silent = [SilentRecord(record, row.active_ms) for record, row in zip(records, rows, strict=True) if record.known]
    rows_versions = [(record.record_id, active_ms, record.counter, record.written) for record, active_ms in silent]
    return Versioned(digest_version(_pack([total, rows_versions])), Page(total, silent))


class _Survey:
    """One pass over all buckets for the first ``wanted`` silent records."""

    def __init__(self, connection: CommandRunner, until_ms: int, wanted: int, prefix: str) -> None:
        self._connection = connection
        self._until_ms = until_ms
        self._wanted = wanted
        self._prefix = prefix.encode()
        self._total = 0
        self._first: list[_Found] = []

    async def found(self) -> tuple[int, list[_Found]]:
        """The number of silent records, and the first of them."""
        left = [(BucketKeys(self._connection.prefix, number), _BEGIN) for number in range(BUCKETS)]
        calls = CALLS_AT_FIRST
        while left:
            asked, left, calls = left[:calls], left[calls:], CALLS_AT_ONCE
            replies = await self._connection.run([self._call(*of) for of in asked])
            await self._add(replies)
            left += [(bucket, last) for (bucket, _), (_, _, *last) in zip(asked, replies, strict=True) if last]
        return self._total, self._first

    def _call(self, bucket: BucketKeys, last: Sequence[bytes]) -> Command:
        asked = (self._until_ms, self._listed_ms, *last, CANDIDATES_A_CALL)
        return Command(SILENT, [bucket.running, bucket.due], asked)

    @property
    def _listed_ms(self) -> int:
        """The last event of records that may be among the first."""
        # The tasks of a record are looked up for listed ones alone.
        if self._prefix or len(self._first) < self._wanted:
            return _FOREVER_MS
        return self._first[-1].active_ms

    async def _add(self, replies: Iterable[Any]) -> None:
        listed: list[_Found] = []
        silent = 0
        for number, found, *_ in replies:
            silent += number
            listed += [_Found(int(ms), record_id) for record_id, ms in zip(found[::2], found[1::2], strict=True)]
        if self._prefix:
            listed = await self._own(listed)
            silent = len(listed)
        self._total += silent
        self._first = nsmallest(self._wanted, self._first + listed)

    async def _own(self, listed: Sequence[_Found]) -> list[_Found]:
        """Those that belong to a task under the prefix."""
        own: list[_Found] = []
        for at in range(0, len(listed), OWNERS_AT_ONCE):
            part = listed[at : at + OWNERS_AT_ONCE]
            keys = [RecordKeys(self._connection.prefix, of.record_id.decode()).record for of in part]
            replies = await self._connection.run([Command("HGET", [key], ["tasks"]) for key in keys])
            own += [of for of, packed in zip(part, replies, strict=True) if self._is_own(packed)]
        return own

    def _is_own(self, packed: bytes | None) -> bool:
        return packed is not None and any(key.startswith(self._prefix) for key in msgpack.unpackb(packed, raw=True))
