"""A page of details whose name begins with something: from the by-name index, in short calls and bounded memory.

The entries of a prefix stand together, status by status, in order of name. The few of a narrow prefix are read and
sorted. Of a broad one they are read once to count those that meet the other conditions and to draw a sample of their
times, and once more to take those between two of the sample's that enclose the page.
"""

from __future__ import annotations

from math import sqrt
from random import Random
from typing import TYPE_CHECKING

from replog.store.bounded import entries_of
from replog.store.connection import Call
from replog.store.stored import TIME_BYTES, pair_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from replog.store.sharing import Runs

#: Entries read in one call, and calls sent at once.
ENTRIES_A_CALL = 500
CALLS_AT_ONCE = 16
#: Matches that are kept and sorted as a whole; of more, those around the page.
KEPT = 20_000
#: Part of the matches that are drawn to say where the page is, and how far beside it is read, in standard deviations.
SAMPLED = 0.02
MARGIN = 4.0
_TOP = b"\xff"


class Named:
    """The details of one record whose entries in the by-name index begin with one of ``starts``.

    ``pairs``, where given, are those admitted; ``admits``, where given, picks the ids of those that
    meet the other conditions.
    """

    def __init__(
        self,
        connection: Runs,
        key: bytes,
        starts: Sequence[bytes],
        *,
        pairs: set[bytes] | None = None,
        admits: Callable[[list[bytes]], Awaitable[set[bytes]]] | None = None,
    ) -> None:
        self._connection = connection
        self._keys = [key]
        self._starts = starts
        #: Rank of the first entry and number of entries, by start.
        self._ranges: list[tuple[int, int]] = []
        self._pairs = pairs
        self._admits = admits

    async def count(self) -> int:
        """The number of entries; to be awaited before :meth:`page`."""
        bounds = [(b"[" + start, b"(" + start + _TOP) for start in self._starts]
        calls = [Call("ZLEXCOUNT", self._keys, [b"-", b"(" + start]) for start in self._starts]
        replies = await self._connection.run([*calls, *(Call("ZLEXCOUNT", self._keys, both) for both in bounds)])
        self._ranges = list(zip(replies[: len(calls)], replies[len(calls) :], strict=True))
        return sum(size for _, size in self._ranges)

    async def page(self, offset: int, limit: int) -> tuple[int, list[bytes]]:
        """The number of matches, and the ids of those from ``offset`` on, newest first."""
        total, kept, sample = await self._surveyed()
        if total <= KEPT:
            kept.sort(reverse=True)
            return total, _ids(kept[offset : offset + limit])
        if offset >= total:
            return total, []
        above, below = _enclosing(sample, offset / total, min(1, (offset + limit) / total))
        before, tails = await self._between(above, below)
        if before > offset or before + len(tails) < min(offset + limit, total):
            # The sample was misleading, which is rare: take all, at the price of memory.
            before, tails = await self._between(_TOP, b"")
        tails.sort(reverse=True)
        return total, _ids(tails[offset - before : offset - before + limit])

    async def _surveyed(self) -> tuple[int, list[bytes], list[bytes]]:
        """The number of matches, the tails of the first KEPT of them, and those of a few drawn at random."""
        total, kept, sample = 0, list[bytes](), list[bytes]()
        draw = Random(0).random  # noqa: S311 - seeded so that a page costs the same each time
        async for tails in self._tails():
            total += len(tails)
            if total <= KEPT:
                kept += tails
            sample += [tail for tail in tails if draw() < SAMPLED]
        return total, kept, sample

    async def _between(self, above: bytes, below: bytes) -> tuple[int, list[bytes]]:
        """How many matches are at or above ``above``, and the tails of those under it down to ``below``."""
        before, found = 0, list[bytes]()
        async for tails in self._tails():
            under = [tail for tail in tails if tail < above]
            before += len(tails) - len(under)
            found += [tail for tail in under if tail >= below]
        return before, found

    async def _tails(self) -> AsyncIterator[list[bytes]]:
        """The tails (time and id) of all matches, in order of status and name, in steps."""
        ranges = [of_start for of_start in self._ranges if of_start[1]]
        steps = entries_of(self._connection, self._keys[0], ranges, a_call=ENTRIES_A_CALL, at_once=CALLS_AT_ONCE)
        async for members in steps:
            yield await self._admitted(members)

    async def _admitted(self, members: list[bytes]) -> list[bytes]:
        # Behind the name's NUL stands the pair.
        placed = [member.split(b"\x00", 1)[1] for member in members]
        if self._pairs is not None:
            placed = [place for place in placed if place[: pair_bytes(place[0])] in self._pairs]
        tails = [place[pair_bytes(place[0]) :] for place in placed]
        if self._admits is None or not tails:
            return tails
        admitted = await self._admits(_ids(tails))
        return [tail for tail in tails if tail[TIME_BYTES:] in admitted]


def _enclosing(sample: list[bytes], first: float, last: float) -> tuple[bytes, bytes]:
    """Tails of the sample above and below the part of all matches from ``first`` to ``last`` (0 to 1)."""
    ordered = sorted(sample, reverse=True)
    size = len(ordered)
    begin = int(size * first - MARGIN * sqrt(size * first * (1 - first))) - 1
    end = int(size * last + MARGIN * sqrt(size * last * (1 - last))) + 1
    return ordered[begin] if begin >= 0 else _TOP, ordered[end] if end < size else b""


def _ids(tails: list[bytes]) -> list[bytes]:
    return [tail[TIME_BYTES:] for tail in tails]
