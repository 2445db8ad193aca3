"""Walks from the newest to the oldest, in calls of bounded size: over a record's details, over a task's records.

What is added, moved or removed meanwhile may or may not be seen; nothing else is missed or seen twice. A detail that
changes its status does not move: it is seen once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.store.client.command import Command
from replog.store.client.scripts import FOLLOW, SEEK
from replog.store.format.detail_codec import TIME_BYTES
from replog.store.format.short_ids import short_of
from replog.store.read.bounded_reads import ordered_values

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.keys import RecordKeys

#: Above every place: time and id of a detail, as in the entries of the index by status.
TOP = b"\xff"
#: Entries of one status that a call reads at most, and at least where there may be as many.
MOST_ENTRIES, LEAST_ENTRIES = 1000, 8


def short_tail(tail: bytes) -> bytes:
    """A place, as the entries of the index by pair have it: time and short id."""
    return tail if tail in (TOP, b"") else tail[:TIME_BYTES] + short_of(tail[TIME_BYTES:])


async def details_of(
    connection: CommandRunner, keys: RecordKeys, letters: Sequence[bytes], step: int
) -> AsyncGenerator[list[tuple[bytes, bytes]]]:
    """The details of one record that have one of some statuses, ids and values, in steps, none of which is empty.

    The first call finds ``step`` details or fewer. A value may be newer than the status by which it was found.
    """
    async for tails in _places(connection, keys.by_status, letters, step):
        async for rows in ordered_values(connection, keys.details, [tail[TIME_BYTES:] for tail in tails]):
            if rows:
                yield rows


async def _places(
    connection: CommandRunner, key: bytes, letters: Sequence[bytes], step: int
) -> AsyncGenerator[list[bytes]]:
    """Times and ids of the details, in steps."""
    place, limits = TOP, [max(1, step // len(letters))] * len(letters)
    most = max(limits[0], min(MOST_ENTRIES, 4 * step))
    while True:
        asked = [word for of in zip(letters, limits, strict=True) for word in of]
        (found,) = await connection.run([Command(FOLLOW, [key], [place, *asked])])
        parts = [[entry[1:] for entry in entries] for entries in found]
        # Behind the last entry of a part that was not read to its end, other parts may have others before the next.
        ends = [part[-1] for part, limit in zip(parts, limits, strict=True) if len(part) == limit]
        place = max(ends, default=b"")
        seen = [[tail for tail in part if tail >= place] for part in parts]
        tails = sorted((tail for part in seen for tail in part), reverse=True)
        if tails:
            yield tails
        if not ends:
            return
        limits = [min(most, max(LEAST_ENTRIES, 2 * len(part))) for part in seen]


async def records_of_task(connection: CommandRunner, time_key: bytes, step: int) -> AsyncGenerator[list[bytes]]:
    """The ids in the time index of a task, ``step`` at a time."""
    score, last = b"", b""
    while True:
        (scored,) = await connection.run([Command(SEEK, [time_key], [step, score, last])])
        if scored:
            yield scored[::2]
        if len(scored) < 2 * step:
            return
        last, score = scored[-2:]
