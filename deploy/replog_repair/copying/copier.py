"""The copy: one bucket after the other, each with its checkpoints from before its records are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from replog.store.format.keys import BUCKETS
from replog_repair.copying.chunks import Erasures, Records

if TYPE_CHECKING:
    from collections.abc import Callable

    from replog_repair.copying.chunks import Destination, Origin


class Copied(NamedTuple):
    """The result of a copy.

    Records and details carried, removed records remembered, buckets that were there, erasures.
    """

    rows: int
    removed: int
    resumed_buckets: int
    erased: int = 0


async def copy(origin: Origin, destination: Destination, *, progress: Callable[[int, int], None]) -> Copied:
    """Copy all that ``origin`` has; ``progress`` is called with the rows done and the rows in all.

    It may be cut off at any point and called again, and both ends may be written meanwhile: what is carried is joined.
    """
    await destination.begin()
    there = [number for number in range(BUCKETS) if await destination.has(number)]
    total = await origin.count()
    rows = removed = erased = 0
    progress(rows, total)
    for bucket in sorted({*range(BUCKETS)} - {*there}):
        checkpoints = await origin.checkpoints(bucket)
        async for chunk in origin.chunks(bucket):
            await destination.write(bucket, chunk)
            if isinstance(chunk, Records):
                rows += chunk.rows
                progress(rows, total)
            elif isinstance(chunk, Erasures):
                erased += len(chunk.erased)
            else:
                removed += len(chunk.records)
        await destination.complete(bucket, checkpoints)
    await destination.finish()
    return Copied(rows, removed, len(there), erased)
