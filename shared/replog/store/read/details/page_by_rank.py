"""A page of details that cluster, repository and status decide: counted near by rank, then read from there.

A rank is a place in the order of the details of the filter's status, or of all. What matches before it is counted in
the index by pair, head by head. The page itself is then read from that order where many of its details match, else head
by head; then, if it is where matches that are spread evenly have it, together with the counting.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from replog.statuses import SORTED_LETTERS
from replog.store.client.command import Command
from replog.store.client.scripts import COUNT, GLIMPSE, PAGE, PLACE
from replog.store.format.detail_codec import TIME_BYTES, head_of
from replog.store.format.short_ids import ids_of
from replog.store.read.bounded_reads import BYTES_A_CALL, completed
from replog.store.read.newest_first import TOP, short_tail
from replog.store.read.rank_selection import Mark, approach

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.keys import RecordKeys
    from replog.store.read.details.facets import Facets
    from replog.store.read.rank_selection import Near

_pack = msgpack.Packer(use_bin_type=False).pack


@dataclass(frozen=True, slots=True)
class RankLimits:
    """Limits and costs of a search by rank."""

    #: Heads in one script call: each takes Redis 2 to 20 us where the record has a million details; most is waiting for
    #: memory.
    heads_a_call: int = 50
    #: Details that are read, in order of time, in the time that one head takes to count.
    head_costs: int = 3
    #: Details among which a page may be after counting where it is, where one has to be read.
    walked: int = 3
    #: Matches that may lie between the place that is counted and the page.
    near: int = 400
    #: How far around the place where a page is aimed at it is looked for, in standard deviations of matches that are
    #: spread at random.
    deviations: float = 2.8
    #: As many details are read as probably have the matches that are wanted, and so many standard deviations more.
    margin: float = 2.0
    #: Details read in one call, and calls sent at once.
    step: int = 250
    calls_at_once: int = 8
    #: Matches that one call reads head by head at most.
    fetched_a_call: int = 1000


RANK_LIMITS = RankLimits()


class _RankWindow(NamedTuple):
    """The matches between two marks, as entries of the index by pair, of a record with so many details."""

    first: Mark
    last: Mark
    details: int
    members: list[bytes]

    def page(self, offset: int, limit: int) -> list[bytes] | None:
        """The ids of ``limit`` matches from ``offset`` on; None where not all of them are here."""
        skipped = offset - self.first.matches
        if skipped < 0 or skipped + limit > len(self.members):
            return None
        return _newest_first(self.members, skipped, skipped + limit)

    def mark(self, offset: int) -> Mark | None:
        """The mark that narrows most where a page is that is not here."""
        mark = self.last if offset >= self.last.matches else self.first
        return mark if 0 < mark.rank < self.details else None


class RankedDetails:
    """The details of one record that ``facets`` admit, in order; ``letters`` are of the filter's status, or of all."""

    def __init__(
        self,
        connection: CommandRunner,
        keys: RecordKeys,
        facets: Facets,
        letters: Sequence[bytes],
        limits: RankLimits = RANK_LIMITS,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._facets = facets
        self._letters = b"".join(letters)
        self._limits = limits
        self._heads = self._parts(facets.matching)
        # What is not counted of the order is the rest: whichever are fewer are counted.
        others = facets.others
        rest = {head: number for head, number in (others or {}).items() if head[-1:] in letters}
        self._counts_others = others is not None and len(rest) < len(facets.matching)
        counted = rest if self._counts_others else facets.matching
        self._counted = self._parts(counted)
        self._all_counted = sum(counted.values())
        #: By head: entries of the index that lie before its own; None where that is not known.
        self._begins = None if others is None else _begins({**facets.matching, **others})
        self._before = self._entries_before(counted)

    async def page(self, offset: int, limit: int) -> list[bytes]:
        """The ids of the matches from ``offset`` on, newest first."""
        details, matches = self._facets.details, self._facets.matches
        limit = min(limit, matches - offset)
        if limit <= 0:
            return []
        near, most_among = self._limits.near, max(1, self._limits.head_costs * len(self._facets.matching))
        glimpse = await self._glimpse(offset, limit)
        if glimpse and (page := glimpse.page(offset, limit)) is not None:
            return page
        begun = await approach(
            self._newer,
            details=details,
            matches=matches,
            offset=offset,
            is_near=lambda gap, among: gap <= near or among <= most_among,
            known=glimpse.mark(offset) if glimpse else None,
        )
        skipped = offset - begun.mark.matches
        if skipped >= 0:
            return (await self._read(begun, skipped + limit))[skipped:]
        page = (await self._read_back(begun, -skipped))[:limit]
        return page + await self._read(begun, limit - len(page))

    async def _glimpse(self, offset: int, limit: int) -> _RankWindow | None:
        """The matches where the page probably is, read and counted in one call; None where that is not worth it."""
        details, matches, heads = self._facets.details, self._facets.matches, len(self._facets.matching)
        limits, share, along = self._limits, matches / details, offset / matches
        spread = limits.deviations * sqrt(along * (1 - along) * matches * max(0, 1 - share)) + sqrt(limit)
        begin = max(0, int((offset - spread) / share))
        end = min(details, ceil((offset + limit + spread) / share))
        # Where counting first and walking then is cheaper, for a page is mostly found in a sixth of all that it may lie
        # in; or there may be too many for one call.
        if end - begin <= limits.walked * limits.head_costs * heads:
            return None
        if (end - begin) * share > len(self._heads) * limits.fetched_a_call / 2:
            return None
        found = await self._between(begin, end)
        if found is None:
            return None
        newer, members = found
        return _RankWindow(Mark(begin, newer), Mark(end, newer + len(members)), details, members)

    async def _between(self, begin: int, end: int) -> tuple[int, list[bytes]] | None:
        """Matches before a rank, and those from there to another, as entries of the index; None for too many."""
        whole, most = int(self._begins is not None), self._limits.fetched_a_call
        above, below = await self._places(begin, end)
        calls = [Command(GLIMPSE, [self._keys.by_pair], [above, below, part, most, whole]) for part in self._heads]
        replies = await self._connection.run(calls)
        if None in replies:
            return None
        older = sum(counted for counted, _ in replies) - self._entries_before(self._facets.matching)
        return self._facets.matches - older, [member for _, found in replies for member in found]

    def _entries_before(self, heads: Iterable[bytes]) -> int:
        """Entries of the index before those of each head, added up; 0 where that is not known, and not counted."""
        return sum(self._begins[head] for head in heads) if self._begins else 0

    async def _newer(self, rank: int) -> int:
        """Matches before a rank."""
        (place,) = await self._places(rank)
        whole = int(self._begins is not None)
        calls = [Command(COUNT, [self._keys.by_pair], [place, part, whole]) for part in self._counted]
        older: int = sum(await self._connection.run(calls)) - self._before
        newer = self._all_counted - older
        return rank - newer if self._counts_others else newer

    async def _places(self, *ranks: int) -> list[bytes]:
        """Time and short id of the last detail before each rank; above all where there is none."""
        keys = [self._keys.record, self._keys.by_status]
        calls = [Command(PLACE, keys, [self._letters, rank, TOP, SORTED_LETTERS]) for rank in ranks if rank]
        found = iter(await self._connection.run(calls))
        return [short_tail(next(found)) if rank else TOP for rank in ranks]

    async def _read(self, near: Near, wanted: int) -> list[bytes]:
        """The first ``wanted`` ids behind a mark; fewer where the record has changed and has no more."""
        rank, share, ids = near.mark.rank, near.share, list[bytes]()
        while len(ids) < wanted and rank < self._facets.details:
            found, rank = await self._matches(rank, rank + self._among(wanted - len(ids), share))
            ids += found
            # Where fewer came than the share had promised, look further.
            share /= 2
        return ids[:wanted]

    async def _read_back(self, near: Near, wanted: int) -> list[bytes]:
        """The last ``wanted`` ids before a mark, newest first; fewer where the record has changed and has no more."""
        rank, share, ids = near.mark.rank, near.share, list[bytes]()
        while len(ids) < wanted and rank:
            begin, end = max(0, rank - self._among(wanted - len(ids), share)), rank
            rank, before = begin, list[bytes]()
            while begin < end:
                found, begin = await self._matches(begin, end)
                before += found
            ids = before + ids
            share /= 2
        return ids[-wanted:]

    async def _matches(self, begin: int, end: int) -> tuple[list[bytes], int]:
        """Matches among the details from rank ``begin`` on, at most to ``end``, and the rank behind the last."""
        if end - begin <= self._limits.head_costs * len(self._facets.matching):
            return await self._walked(begin, end)
        return await self._fetched(begin, end)

    async def _walked(self, begin: int, end: int) -> tuple[list[bytes], int]:
        """As :meth:`_matches`, detail by detail."""
        asked = [self._keys.record, self._keys.details, self._keys.by_status]
        step = self._limits.step
        end = min(end, begin + self._limits.calls_at_once * step)
        windows = [(at, min(step, end - at)) for at in range(begin, end, step)]
        calls = [Command(PAGE, asked, [*window, BYTES_A_CALL, self._letters, SORTED_LETTERS]) for window in windows]
        matching, ids = self._facets.matching, list[bytes]()
        for _, _, read, first in await self._connection.run(calls):
            values = await completed(self._connection, self._keys.details, read, first)
            ids += [i for i, value in zip(read, values, strict=True) if value and head_of(value) in matching]
        return ids, end

    async def _fetched(self, begin: int, end: int) -> tuple[list[bytes], int]:
        """As :meth:`_matches`, head by head."""
        while (found := await self._between(begin, end)) is None:
            end = begin + ((end - begin) // 2 or 1)
        return _newest_first(found[1], 0, len(found[1])), end

    def _among(self, wanted: int, share: float) -> int:
        """Number of details that probably have ``wanted`` matches, where such a share of them match."""
        return ceil((wanted + self._limits.margin * sqrt(wanted)) / share) + 1

    def _parts(self, heads: Iterable[bytes]) -> list[bytes]:
        """The heads as the scripts take them, so many in each call."""
        every, size = list(heads), self._limits.heads_a_call
        return [_pack(every[i : i + size]) for i in range(0, len(every), size)]


def _newest_first(members: Iterable[bytes], begin: int, end: int) -> list[bytes]:
    """The ids of entries of the index by pair, from the one number ``begin`` to ``end``."""
    tails = sorted((member[len(head_of(member)) :] for member in members), reverse=True)
    return ids_of([tail[TIME_BYTES:] for tail in tails[begin:end]])


def _begins(every: Mapping[bytes, int]) -> dict[bytes, int]:
    """By head: entries before its first one; ``every`` has the numbers of all heads' entries."""
    before, begins = 0, {}
    for head in sorted(every):
        begins[head] = before
        before += every[head]
    return begins
