"""All details of a record that meet a filter, newest first, step by step: memory does not grow with their number.

The first that fits:

``status``   a status alone, or nothing, is asked for: the details of the status are one range of an index
             (:mod:`replog.store.read.newest_first`)
``names``    a name decides that few enough have (:attr:`Bounds.kept`): their ids are read from the index by name and
             sorted, and their values compared with the whole filter
``windows``  cluster, repository or a package's scheme leave few enough: of the details in a stretch of time, those are
             read from the index by pair, head by head; then the next stretch
``scan``     all details of the status are read in order of time, and compared

What is added, changed or removed meanwhile may or may not be seen; nothing else is missed or seen twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

import msgpack

from replog.statuses import LETTERS, SORTED_LETTERS, letters_of
from replog.store.client.command import Command
from replog.store.client.scripts import PLACE, WINDOW
from replog.store.format.detail_codec import TIME_BYTES, head_of
from replog.store.format.keys import RecordKeys
from replog.store.format.rows import StoredDetail
from replog.store.format.short_ids import ids_of
from replog.store.read.bounded_reads import members_of, ordered_values
from replog.store.read.details.detail_search import SEARCH_LIMITS, Search, SearchLimits
from replog.store.read.details.name_entries import tails_of
from replog.store.read.newest_first import TOP, details_of, short_tail

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.read.details.facets import Facets
    from replog.store.read.filters import DetailFilter

#: How many times more or fewer matches than wanted make the next stretch of time shorter or longer.
TOLERATED = 4
#: Details found whose ids are made and whose values are read before the next.
AT_ONCE = 1000
#: Heads whose matches in a stretch of time one call reads at most.
HEADS_A_CALL = 200
#: What a match costs that is found first and read then, in details read.
MATCH_COSTS = 1.5

#: Ids and values of details.
_Rows = list[tuple[bytes, bytes]]

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


async def ordered_details(
    connection: CommandRunner,
    record_id: str,
    flt: DetailFilter,
    bounds: Bounds = _BOUNDS,
) -> AsyncGenerator[list[StoredDetail]]:
    """The details in steps, none of which is empty; no step where the record is unknown.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    async for rows in _Ordered(connection, record_id, flt, bounds).rows():
        if rows:
            yield [StoredDetail(record_id, detail_id, value) for detail_id, value in rows]


class _Ordered:
    """One read of one record's details."""

    def __init__(
        self,
        connection: CommandRunner,
        record_id: str,
        flt: DetailFilter,
        bounds: Bounds,
    ) -> None:
        self._connection = connection
        self._keys = keys = RecordKeys(connection.prefix, record_id)
        self._filter = flt
        self._letters = letters_of(flt.status)
        self._bounds = bounds
        self._limits = bounds.search
        self._search = Search(connection, keys, flt, bounds.search)

    async def rows(self) -> AsyncIterator[_Rows]:
        """Ids and values of all that match, in steps."""
        async for rows in await self._chosen():
            yield rows

    async def _chosen(self) -> AsyncIterator[_Rows]:
        if self._filter.is_of_status:
            return self._scanned(self._filter.matching)
        selection = await self._search.selection()
        if selection.is_empty:
            return self._read([], self._filter.matching)
        if selection.names and selection.entries <= self._bounds.kept:
            return self._read(await self._named(selection.names), self._filter.matching)
        if selection.facets is None:
            return self._scanned(self._filter.matching)
        heads = self._heads(selection.facets)
        # Of details of these heads, names are all that may be wrong.
        matching = self._filter.matching if selection.names else partial(_of_these, heads)
        return self._of_heads(heads, selection.facets, matching)

    def _of_heads(
        self, heads: frozenset[bytes], facets: Facets, matching: Callable[[_Rows], _Rows]
    ) -> AsyncIterator[_Rows]:
        wanted, among = self._wanted(len(heads)), facets.details / facets.matches
        if self._is_scanned(len(heads), wanted, among):
            return self._scanned(matching)
        parts = _parts(sorted(heads), self._heads_a_call(len(heads)))
        return self._in_windows(parts, wanted, ceil(wanted * among), matching)

    def _is_scanned(self, heads: int, wanted: int, among: float) -> bool:
        """Whether so many heads are too many for stretches that have ``wanted`` matches, one ``among`` so many."""
        # So many details are read in the time in which the matches among them are found and read.
        worth = self._limits.rank.head_costs * heads + MATCH_COSTS * wanted
        return heads > self._bounds.most_heads or worth > wanted * among

    def _heads_a_call(self, heads: int) -> int:
        """Heads in one call, of so many: few where they have many matches, of which a call finds only so many."""
        found = heads * self._bounds.found_a_call // (2 * self._bounds.wanted)
        return max(1, min(HEADS_A_CALL, found))

    def _wanted(self, heads: int) -> int:
        """Matches that a stretch is aimed at: half of what its calls find, for where they find more they are lost."""
        calls = -(-heads // self._heads_a_call(heads))
        return min(self._bounds.wanted, ceil(calls * self._bounds.found_a_call / 2))

    def _heads(self, facets: Facets) -> frozenset[bytes]:
        """All statuses that count of the pairs that match: a detail may come to another before it is read."""
        if self._filter.status:
            return frozenset(facets.matching)
        return frozenset(pair + letter for pair in facets.pairs for letter in LETTERS)

    async def _named(self, starts: Sequence[bytes]) -> list[bytes]:
        """Times and short ids of the details that have a name which begins so, newest first."""
        a_call = self._limits.names.entries_a_call
        steps = members_of(self._connection, self._keys.by_name, starts, a_call=a_call, at_once=len(starts))
        # One whose status changes meanwhile may be met twice.
        tails = {tail async for members in steps for tail in tails_of(members)}
        return sorted(tails, reverse=True)

    async def _scanned(self, matching: Callable[[_Rows], _Rows]) -> AsyncIterator[_Rows]:
        async for rows, _ in details_of(self._connection, self._keys, self._letters, self._limits.step):
            yield matching(rows)

    async def _read(self, tails: list[bytes], matching: Callable[[_Rows], _Rows]) -> AsyncIterator[_Rows]:
        """The rows of ``tails``, in their order, that are still such as they were when they were found."""
        for at in range(0, len(tails), AT_ONCE):
            ids = ids_of([tail[TIME_BYTES:] for tail in tails[at : at + AT_ONCE]])
            async for rows in ordered_values(self._connection, self._keys.details, ids):
                yield matching(rows)

    async def _in_windows(
        self, parts: list[bytes], wanted: int, length: int, matching: Callable[[_Rows], _Rows]
    ) -> AsyncIterator[_Rows]:
        """All of the heads in ``parts``, from one stretch of time after the other, each of some ``wanted`` matches.

        The first stretch is of so many details as ``length`` says.
        """
        begin = TOP
        while end := await self._behind(begin, length):
            tails = await self._between(begin, end, parts)
            if tails is None:
                length = max(1, length // 2)
                continue
            async for rows in self._read(tails, matching):
                yield rows
            begin = end
            if len(tails) * TOLERATED < wanted:
                length *= 2
            elif len(tails) > TOLERATED * wanted:
                length //= 2

    async def _behind(self, place: bytes, length: int) -> bytes:
        """The place so many details of the status behind another, or the last one; empty where that was the last."""
        asked = (b"".join(self._letters), length, place, SORTED_LETTERS)
        found: bytes
        (found,) = await self._connection.run([Command(PLACE, [self._keys.record, self._keys.by_status], asked)])
        return found

    async def _between(self, begin: bytes, end: bytes, parts: list[bytes]) -> list[bytes] | None:
        """Times and short ids of the matches behind one place up to another, newest first; None for too many."""
        above, below = short_tail(begin), short_tail(end)
        calls = [
            Command(WINDOW, [self._keys.by_pair], (above, below, part, self._bounds.found_a_call)) for part in parts
        ]
        replies: list[Any] = await self._connection.run(calls)
        if None in replies:
            return None
        # One that moved between two calls may have been found by both.
        tails = {member[len(head_of(member)) :] for members in replies for member in members}
        return sorted(tails, reverse=True)


def _of_these(heads: frozenset[bytes], rows: _Rows) -> _Rows:
    return [row for row in rows if head_of(row[1]) in heads]


def _parts(heads: Sequence[bytes], a_call: int) -> list[bytes]:
    """The heads as the script takes them, so many in each call."""
    return [_pack(heads[i : i + a_call]) for i in range(0, len(heads), a_call)]
