"""Walks from the newest to the oldest, in calls of bounded size: over a record's details, over a task's records.

What is added, moved or removed meanwhile may or may not be seen; nothing else is missed or seen twice. A detail that
changes its status does not move: it is seen once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from replog.statuses import SORTED_LETTERS
from replog.store.client.command import Command
from replog.store.client.scripts import FOLLOW, SEEK
from replog.store.format.detail_codec import TIME_BYTES
from replog.store.format.short_ids import short_of
from replog.store.read.bounded_reads import BYTES_A_CALL

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.keys import RecordKeys

#: Above every place: time and id of a detail, as in the entries of the index by status.
TOP = b"\xff"


def short_tail(tail: bytes) -> bytes:
    """A place, as the entries of the index by pair have it: time and short id."""
    return tail if tail in (TOP, b"") else tail[:TIME_BYTES] + short_of(tail[TIME_BYTES:])


class Step(NamedTuple):
    """Ids and values of some details, and the counter of the record's changes when they were read."""

    rows: list[tuple[bytes, bytes]]
    version: bytes | None


async def details_of(
    connection: CommandRunner, keys: RecordKeys, letters: Sequence[bytes], step: int
) -> AsyncGenerator[Step]:
    """The details of one record that have one of some statuses, in steps, none of which is empty.

    ``step`` are read in one call.
    """
    place, wary = TOP, 0
    while True:
        asked = (b"".join(letters), step, place, BYTES_A_CALL, wary, SORTED_LETTERS)
        ((tails, values, version),) = await connection.run([Command(FOLLOW, keys.all[:3], asked)])
        # Of wide values only the first were read.
        read, is_last = len(values), len(values) == len(tails) < step
        pairs = zip(tails[:read], values, strict=True)
        if rows := [(tail[TIME_BYTES:], value) for tail, value in pairs if value is not None]:
            yield Step(rows, version)
        if is_last:
            return
        place, wary = tails[read - 1], int(read < len(tails))


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
