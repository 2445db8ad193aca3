"""All details of a record that meet a filter, newest first, step by step: memory does not grow with their number.

The first that fits:

``names``    a name decides that few enough have (:attr:`Bounds.kept`): their ids are read from the index by name and
             sorted, and their values compared with the whole filter
``windows``  status, cluster, repository or a package's scheme leave few enough: of the details in a stretch of time,
             those are read from the index by pair, head by head; then the next stretch
``scan``     all details are read in order of time, :attr:`SearchLimits.step` a call, and compared

What is added, changed or removed meanwhile may or may not be seen; nothing else is missed or seen twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from replog.records import MS_BIAS
from replog.statuses import STATUS_LETTERS
from replog.store.client.command import Command
from replog.store.client.scripts import PLACE, WINDOW
from replog.store.format.detail_codec import TIME_BYTES, head_of
from replog.store.format.keys import RecordKeys
from replog.store.format.rows import StoredDetail
from replog.store.format.short_ids import id_of, short_of
from replog.store.read.bounded_reads import members_of, ordered_values
from replog.store.read.detail_search import SEARCH_LIMITS, Search, SearchLimits, scan
from replog.store.read.filters import NO_FILTER, DetailFilter
from replog.store.read.page_by_name import tails_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.read.facets import Facets

#: How many times more or fewer matches than wanted make the next stretch of time shorter or longer.
TOLERATED = 4
#: Details found whose ids are made and whose values are read before the next.
AT_ONCE = 1000
#: What a match costs that is found first and read then, in details read.
MATCH_COSTS = 1.5

_TOP = b"\xff"
_pack = msgpack.Packer(use_bin_type=False).pack


@dataclass(frozen=True)
class Bounds:
    """Limits of one read."""

    #: Matches that a stretch of time is aimed at to have.
    wanted: int = 1000
    #: Matches that one call finds at most, at most 1000. A stretch that has more is cut in two.
    found_a_call: int = 1000
    #: Heads up to which stretches are read head by head: so many take Redis some 10 ms for each, in short calls.
    most_heads: int = 2000
    #: Matches by name that are kept to be sorted.
    kept: int = 10_000
    #: Those of the search for candidates, and of the calls that read them.
    search: SearchLimits = SEARCH_LIMITS


_BOUNDS = Bounds()


class _Place(NamedTuple):
    """A detail in the order of time; empty before the first."""

    detail_id: bytes = b""
    score: bytes = b""

    @property
    def tail(self) -> bytes:
        """Its time and short id, as entries of the index by pair end."""
        if not self.detail_id:
            return _TOP
        return (int(self.score) + MS_BIAS).to_bytes(TIME_BYTES, "big") + short_of(self.detail_id)


async def ordered_details(
    connection: CommandRunner, record_id: str, flt: DetailFilter, bounds: Bounds = _BOUNDS
) -> AsyncGenerator[list[StoredDetail]]:
    """The details in steps, none of which is empty; no step where the record is unknown.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    keys = RecordKeys(connection.prefix, record_id)
    async for rows in _Ordered(connection, keys, record_id, flt, bounds).rows():
        if rows:
            yield [StoredDetail(record_id, detail_id, value) for detail_id, value in rows]


class _Ordered:
    """One read of one record's details."""

    def __init__(
        self, connection: CommandRunner, keys: RecordKeys, record_id: str, flt: DetailFilter, bounds: Bounds
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._filter = flt
        self._bounds = bounds
        self._limits = bounds.search
        self._search = Search(connection, keys, record_id, flt, bounds.search)

    async def rows(self) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        """Ids and values of all that match, in steps."""
        async for rows in await self._chosen():
            yield rows

    async def _chosen(self) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        if self._filter == NO_FILTER:
            return self._scanned(lambda *_: True)
        selection = await self._search.selection()
        if selection.is_empty:
            return self._read([], self._search.matches)
        if selection.names and selection.entries <= self._bounds.kept:
            return self._read(await self._named(selection.names), self._search.matches)
        if selection.facets is None:
            return self._scanned(self._search.matches)
        heads = self._heads(selection.facets)
        # Of details of these heads, names are all that may be wrong.
        admits = self._search.matches if selection.names else lambda _, value: head_of(value) in heads
        return self._of_heads(heads, selection.facets, admits)

    def _of_heads(
        self, heads: frozenset[bytes], facets: Facets, admits: Callable[[bytes, bytes], bool]
    ) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        wanted = self._bounds.wanted
        length = wanted * facets.details / facets.matches
        # So many details are read in the time in which the matches among them are found and read.
        worth = self._limits.rank.head_costs * len(heads) + MATCH_COSTS * wanted
        if len(heads) > self._bounds.most_heads or worth > length:
            return self._scanned(admits)
        return self._in_windows(sorted(heads), ceil(length), admits)

    def _heads(self, facets: Facets) -> frozenset[bytes]:
        """All statuses that count of the pairs that match: a detail may come to another before it is read."""
        status = self._filter.status
        letters = [STATUS_LETTERS[status]] if status else STATUS_LETTERS.values()
        return frozenset(pair + letter for pair in facets.pairs for letter in letters)

    async def _named(self, starts: Sequence[bytes]) -> list[bytes]:
        """Times and short ids of the details that have a name which begins so, newest first."""
        a_call = self._limits.names.entries_a_call
        steps = members_of(self._connection, self._keys.by_name, starts, a_call=a_call, at_once=len(starts))
        # One whose status changes meanwhile may be met twice.
        tails = {tail async for members in steps for tail in tails_of(members)}
        return sorted(tails, reverse=True)

    async def _scanned(self, admits: Callable[[bytes, bytes], bool]) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        rows: list[tuple[bytes, bytes]] = []
        read, step = 0, self._limits.step
        async for detail_id, value in scan(self._connection, self._keys.time, self._keys.details, step):
            read += 1
            if admits(detail_id, value):
                rows.append((detail_id, value))
            if read == step:
                yield rows
                rows, read = [], 0
        yield rows

    async def _read(
        self, tails: list[bytes], admits: Callable[[bytes, bytes], bool]
    ) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        """The rows of ``tails``, in their order, that are still such as they were when they were found."""
        for at in range(0, len(tails), AT_ONCE):
            ids = [id_of(tail[TIME_BYTES:]) for tail in tails[at : at + AT_ONCE]]
            async for rows in ordered_values(self._connection, self._keys.details, ids):
                yield [row for row in rows if admits(*row)]

    async def _in_windows(
        self, heads: list[bytes], length: int, admits: Callable[[bytes, bytes], bool]
    ) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        """All of ``heads``, from one stretch of time after the other; the first of about ``length`` details."""
        size = self._limits.rank.heads_a_call
        parts = [_pack(heads[i : i + size]) for i in range(0, len(heads), size)]
        begin = _Place()
        while (end := await self._behind(begin, length)) is not None:
            tails = await self._between(begin, end, parts)
            if tails is None:
                length = max(1, length // 2)
                continue
            async for rows in self._read(tails, admits):
                yield rows
            begin = end
            if len(tails) * TOLERATED < self._bounds.wanted:
                length *= 2
            elif len(tails) > TOLERATED * self._bounds.wanted:
                length //= 2

    async def _behind(self, place: _Place, length: int) -> _Place | None:
        """The place so many details behind another, or the last one; None where that was the last."""
        asked = (length, place.score, place.detail_id)
        (found,) = await self._connection.run([Command(PLACE, [self._keys.time], asked)])
        return _Place(*found) if found else None

    async def _between(self, begin: _Place, end: _Place, parts: list[bytes]) -> list[bytes] | None:
        """Times and short ids of the matches behind one place up to another, newest first; None for too many."""
        above, below = begin.tail, end.tail
        calls = [
            Command(WINDOW, [self._keys.by_pair], (above, below, part, self._bounds.found_a_call)) for part in parts
        ]
        replies: list[Any] = await self._connection.run(calls)
        if None in replies:
            return None
        # One that moved between two calls may have been found by both.
        tails = {member[len(head_of(member)) :] for members in replies for member in members}
        return sorted(tails, reverse=True)
