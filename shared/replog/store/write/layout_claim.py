"""The claim of a new store by a collector: it writes the marks of the layout (:mod:`replog.store.format.layout`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.errors import StoreIncompatible
from replog.store.client.command import Command
from replog.store.format.layout import all_buckets, own_mark, problem_of_marks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.keys import BucketKeys


async def claim_layout(connection: CommandRunner) -> None:
    """Mark each bucket that has no mark yet. Safe to repeat; called when a collector starts, before it merges anything.

    Of two collectors of different layouts that claim a new store at once, one gets the first bucket; the other leaves
    the store to it.

    Raises:
        StoreIncompatible: a bucket has the mark of another layout.
        StoreUnavailable: some of the marks may have been written; try again.
    """
    first, *others = all_buckets(connection.prefix)
    for buckets in ([first], others):
        await _claim(connection, buckets)


async def _claim(connection: CommandRunner, buckets: Sequence[BucketKeys]) -> None:
    await connection.run([Command("SET", [bucket.layout], [own_mark(), "NX"]) for bucket in buckets])
    marks = await connection.run([Command("GET", [bucket.layout]) for bucket in buckets])
    if problem := problem_of_marks(connection.prefix, filter(None, marks)):
        raise StoreIncompatible(problem)
