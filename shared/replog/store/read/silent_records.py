"""RUNNING records that are silent: neither they nor any of their details had an event for some time.

Each bucket has two indexes: its RUNNING records by the time of their own last event, and all its records by the time of
the last event of the record or of a detail. A candidate is a RUNNING record that is silent itself, by the first index.
It is silent if the second index has no later event of it.

Where few records had a later event, candidates are counted by a range of the first index, less those among these
records. Then only candidates that may be on the page are read. Where many had one, all candidates are read and looked
up in the second index. Either way the count is exact, and a call looks at 500 records at most. Those of tasks under a
prefix are found otherwise, by :mod:`replog.store.read.silent_records_by_prefix`.

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
from replog.store.format.keys import BUCKETS, BucketKeys
from replog.store.read.bounded_reads import records_of
from replog.store.read.results import Page, SilentRecord, Versioned
from replog.store.read.silent_records_by_prefix import SilentSince, silent_under_prefix
from replog.store.read.versions import digest_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.pipelining import CommandRunner

#: Records that one call looks at, and calls sent at once.
RECORDS_A_CALL, CALLS_AT_ONCE = 500, 32
#: The same at first: what these list need not be listed later. As many records as are wanted, if there are more.
FIRST_RECORDS, FIRST_CALLS = 32, 4
#: Later than any time.
_FOREVER_MS = 1 << 53

_pack = msgpack.Packer().pack


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
    if prefix:
        own = await silent_under_prefix(connection, prefix, until_ms, records_a_call)
        total, found = len(own), nsmallest(offset + limit, own)
    else:
        total, found = await _Survey(connection, until_ms, offset + limit, records_a_call).found()
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

    def __init__(self, connection: CommandRunner, until_ms: int, wanted: int, records_a_call: int) -> None:
        self._connection = connection
        self._until_ms = until_ms
        self._wanted = wanted
        self._a_call = records_a_call
        self._total = 0
        self._first: list[SilentSince] = []

    async def found(self) -> tuple[int, list[SilentSince]]:
        """The number of silent records, and the first of them."""
        left = [_Part(BucketKeys(self._connection.prefix, number)) for number in range(BUCKETS)]
        calls, records = FIRST_CALLS, min(self._a_call, max(self._wanted, FIRST_RECORDS))
        while left:
            asked, left = left[:calls], left[calls:]
            replies = await self._connection.run([self._call(part, records) for part in asked])
            calls, records = CALLS_AT_ONCE, self._a_call
            self._add(replies)
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
        return _FOREVER_MS if len(self._first) < self._wanted else self._first[-1].active_ms

    def _add(self, replies: Sequence[Any]) -> None:
        for silent, _, found, *_ in replies:
            self._total += silent
            self._first += [
                SilentSince(int(ms), record_id) for record_id, ms in zip(found[::2], found[1::2], strict=True)
            ]
        self._first = nsmallest(self._wanted, self._first)
