"""The check of the store's layout, over a connection that is new (:mod:`replog.store.format.layout`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis import exceptions

from replog.store.client.driver_connections import replies_over
from replog.store.format.layout import READABLE, all_buckets, evidence_of_data, problem_of_marks, problem_of_unmarked

if TYPE_CHECKING:
    from collections.abc import Collection

    from redis.asyncio.connection import AbstractConnection


class ForeignLayoutError(exceptions.RedisError):
    """The server holds a store that this version cannot read; the message says why, and what to do.

    It belongs to the driver's tree, because the driver is what connects; the store's edge translates it as the others.
    """


class LayoutCheck:
    """Refuses servers whose store under ``prefix`` has a layout beside ``layouts``. A store without data has none."""

    def __init__(self, prefix: str, layouts: Collection[int] = READABLE) -> None:
        self._prefix = prefix
        self._layouts = layouts
        buckets = all_buckets(prefix)
        # Data first: a bucket that gets its first data meanwhile has its mark by then.
        self._questions = [
            *(("EXISTS", *evidence_of_data(bucket)) for bucket in buckets),
            *(("GET", bucket.layout) for bucket in buckets),
        ]

    async def check(self, connection: AbstractConnection) -> None:
        """Ask the server behind ``connection``. A node of a cluster answers for the buckets that it serves.

        Raises:
            ForeignLayoutError: it has another layout, or data of which nothing says the layout.
        """
        replies = await replies_over(connection, self._questions)
        # What the user may not ask, or another node serves, is an error, and says nothing.
        half = len(replies) // 2
        counts, marks = replies[:half], replies[half:]
        known = [mark for mark in marks if isinstance(mark, bytes)]
        problem = problem_of_marks(self._prefix, known, self._layouts)
        if not problem and any(
            mark is None and isinstance(count, int) and count > 0 for count, mark in zip(counts, marks, strict=True)
        ):
            problem = problem_of_unmarked(self._prefix)
        if problem:
            raise ForeignLayoutError(problem)
