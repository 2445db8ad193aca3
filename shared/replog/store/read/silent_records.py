"""RUNNING records that are silent: neither they nor any of their details had an event for some time.

Each bucket has two indexes: its RUNNING records by the time of their own last event, and all its records by the time of
the last event of the record or of a detail. A candidate is a RUNNING record that is silent itself, by the first index.
It is silent if the second index has no later event of it.

Where few records had a later event, candidates are counted by a range of the first index, less those among these
records. Then only candidates that may be on the page are read. Where many had one, all candidates are read and looked
up in the second index. Either way the count is exact, and a call looks at 500 records at most.

An event that is dated ahead of the clock counts as of its own time where it is of the record, and as of when it came
where it is of a detail.
"""

from __future__ import annotations

from heapq import nsmallest
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from replog.entities import stale_until
from replog.store.client.command import Command
from replog.store.client.scripts import OWNERS, SILENT
from replog.store.format.keys import BUCKETS, BucketKeys
from replog.store.read.bounded_reads import records_of
from replog.store.read.results import Page, SilentRecord, Versioned
from replog.store.read.versions import digest_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.pipelining import CommandRunner

#: Records that one call looks at, and calls sent at once.
RECORDS_A_CALL, CALLS_AT_ONCE = 500, 32
#: The same at first: what these list need not be listed later. As many records as are wanted, if there are more.
FIRST_RECORDS, FIRST_CALLS = 32, 4
#: Silent records whose tasks one call looks up, and calls sent at once: a record's tasks have 8 KiB at most.
OWNERS_A_CALL, OWNERS_CALLS_AT_ONCE = 128, 16
#: Later than any time.
_FOREVER_MS = 1 << 53

_pack = msgpack.Packer().pack


class _Found(NamedTuple):
    """In the order of a page: longest silent first, then by id."""

    active_ms: int
    record_id: bytes


async def silent_records(
    connection: CommandRunner,
    *,
    now_ms: int,
    silent_for_s: int,
    offset: int,
    limit: int,
    prefix: str = "",
    records_a_call: int = RECORDS_A_CALL,
) -> Versioned[Page[SilentRecord]]:
    """A page of the records that had no event for longer than ``silent_for_s``, longest silent first, then by id.

    Only records count that belong to a task whose key begins with ``prefix``.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    until_ms = stale_until(now_ms, stale_after_s=silent_for_s)
    total, found = await _Survey(connection, until_ms, offset + limit, prefix, records_a_call).found()
    rows = found[offset:]
    records = await records_of(connection, [row.record_id.decode() for row in rows])
    # Retention may have taken one that was there a moment ago.
    silent = [SilentRecord(record, row.active_ms) for record, row in zip(records, rows, strict=True) if record.known]
    rows_versions = [(record.record_id, active_ms, record.counter, record.written) for record, active_ms in silent]
    return Versioned(digest_version(_pack([total, rows_versions])), Page(total, silent))


class _Part(NamedTuple):
    """The records of a bucket behind one that was looked at last; ``is_counted``: none of them is to be counted."""

    bucket: BucketKeys
    score: bytes = b""
    record_id: bytes = b""
    is_counted: int = 0


class _Survey:
    """One pass over all buckets for the first ``wanted`` silent records."""

    def __init__(self, connection: CommandRunner, until_ms: int, wanted: int, prefix: str, records_a_call: int) -> None:
        self._connection = connection
        self._until_ms = until_ms
        self._wanted = wanted
        self._prefix = prefix.encode()
        self._a_call = records_a_call
        self._total = 0
        self._first: list[_Found] = []

    async def found(self) -> tuple[int, list[_Found]]:
        """The number of silent records, and the first of them."""
        # Where tasks are looked up, those are counted that are found to be theirs.
        is_counted = int(bool(self._prefix))
        left = [_Part(BucketKeys(self._connection.prefix, number), is_counted=is_counted) for number in range(BUCKETS)]
        calls, records = FIRST_CALLS, min(self._a_call, max(self._wanted, FIRST_RECORDS))
        while left:
            asked, left = left[:calls], left[calls:]
            replies = await self._connection.run([self._call(part, records) for part in asked])
            calls, records = CALLS_AT_ONCE, self._a_call
            await self._add(asked, replies)
            for part, (_, is_counted, _, *last) in zip(asked, replies, strict=True):
                if last:
                    score, record_id = last
                    left.append(_Part(part.bucket, score, record_id, is_counted))
        return self._total, self._first

    def _call(self, part: _Part, records: int) -> Command:
        bucket, *last, is_counted = part
        asked = (self._until_ms, self._listed_ms, *last, self._a_call, is_counted, records)
        return Command(SILENT, [bucket.running, bucket.due], asked)

    @property
    def _listed_ms(self) -> int:
        """The last event of records that may be among the first."""
        # The tasks of a record are looked up for listed ones alone.
        if self._prefix or len(self._first) < self._wanted:
            return _FOREVER_MS
        return self._first[-1].active_ms

    async def _add(self, asked: Sequence[_Part], replies: Sequence[Any]) -> None:
        listed = [
            (part.bucket, [_Found(int(ms), record_id) for record_id, ms in zip(found[::2], found[1::2], strict=True)])
            for part, (_, _, found, *_) in zip(asked, replies, strict=True)
        ]
        if self._prefix:
            first = await self._own(listed)
            self._total += len(first)
        else:
            first = [*chain.from_iterable(found for _, found in listed)]
            self._total += sum(silent for silent, *_ in replies)
        self._first = nsmallest(self._wanted, self._first + first)

    async def _own(self, listed: Sequence[tuple[BucketKeys, Sequence[_Found]]]) -> list[_Found]:
        """Those that belong to a task under the prefix."""
        own: list[_Found] = []
        parts = [
            (bucket, found[at : at + OWNERS_A_CALL])
            for bucket, found in listed
            for at in range(0, len(found), OWNERS_A_CALL)
        ]
        calls = [Command(OWNERS, [bucket.record(of.record_id) for of in part]) for bucket, part in parts]
        for at in range(0, len(calls), OWNERS_CALLS_AT_ONCE):
            replies = await self._connection.run(calls[at : at + OWNERS_CALLS_AT_ONCE])
            for (_, part), tasks in zip(parts[at:], replies, strict=False):
                own += [of for of, packed in zip(part, tasks, strict=True) if self._is_own(packed)]
        return own

    def _is_own(self, packed: bytes | None) -> bool:
        return packed is not None and any(key.startswith(self._prefix) for key in msgpack.unpackb(packed, raw=True))
