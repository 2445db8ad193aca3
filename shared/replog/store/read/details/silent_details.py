"""Details that a record waits for: the RUNNING ones, the longest silent first, and those expected and never seen.

The newest :data:`EXAMINED` RUNNING details are examined, in calls of 250. How many there are is known without.
"""

from __future__ import annotations

from contextlib import aclosing
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

from replog.records import last_ms
from replog.statuses import RUNNING
from replog.store.client.command import Command
from replog.store.format.detail_codec import last_of
from replog.store.format.keys import RecordKeys
from replog.store.read.bounded_reads import records_of
from replog.store.read.details.ordered_details import ordered_details
from replog.store.read.filters import DetailFilter
from replog.store.read.results import SilentDetails, Versioned
from replog.store.read.versions import record_version

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.rows import StoredDetail

#: RUNNING details that are examined at most.
EXAMINED = 5000

_RUNNING = DetailFilter(status=RUNNING)


async def silent_details(
    connection: CommandRunner, record_id: str, limit: int, examined: int = EXAMINED
) -> Versioned[SilentDetails]:
    """The first ``limit`` details of those that a record waits for, of its newest ``examined``; none if it is unknown.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    (record,) = await records_of(connection, [record_id])
    version = record_version(record.counter, record.written)
    if not record.exists:
        return Versioned(version, SilentDetails(None, None, 0, []))
    overview = record.read_overview()
    active_ms = await _last_activity(connection, record_id)
    found = _Silent(limit)
    if overview.running:
        async with aclosing(ordered_details(connection, record_id, _RUNNING)) as steps:
            async for rows in steps:
                found.add(rows[: examined - found.examined])
                if found.examined == examined:
                    break
    return Versioned(version, SilentDetails(active_ms, overview, found.examined, found.details))


async def _last_activity(connection: CommandRunner, record_id: str) -> int | None:
    """The time of the newest event of the record or a detail, as :mod:`replog.store.read.silent_records` has it."""
    bucket, member = RecordKeys(connection.prefix, record_id).bucket, record_id.encode()
    replies = await connection.run([Command("ZMSCORE", [key], [member]) for key in (bucket.due, bucket.running)])
    return max((_ms(score) for (score,) in replies if score is not None), default=None)


def _ms(score: Any) -> int:
    return int(float(score))


class _Silent:
    """The first ``limit`` of the details that were examined: longest silent first, then by id."""

    def __init__(self, limit: int) -> None:
        self.examined = 0
        self._limit = limit
        self._first: list[tuple[int, bytes, StoredDetail]] = []

    @property
    def details(self) -> list[StoredDetail]:
        """They, in their order."""
        return [detail for _, _, detail in self._first]

    def add(self, rows: list[StoredDetail]) -> None:
        """Examine the next ones."""
        self.examined += len(rows)
        dated = [(last_ms(last_of(row.value)), row.detail_id, row) for row in rows]
        # No two have the same id, so the rows themselves are never compared.
        self._first = nsmallest(self._limit, [*self._first, *dated])
