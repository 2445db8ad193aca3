"""Search for a filtered page of a record's details: the ids on it, and the number of all matches.

Conditions that all details of the record (of the asked status) meet are left out first. Then, the first that fits:

``status``   a record of many pairs whose clusters and repositories all meet the conditions: the page is one of the
             status alone
``pairs``    status, cluster, repository and a package's scheme decide: totals from the counts of pairs, the page by
             rank (:mod:`replog.store.read.details.page_by_rank`)
``scan``     one name decides, so that its entries are the total, and the page is met sooner than all of them are read:
             details of the asked status are read in order of time until the page is full
             (:mod:`replog.store.read.details.page_by_scan`)
``names``    entries are read from the indexes as :mod:`replog.store.read.details.filter_planner` says
             (:mod:`replog.store.read.details.page_by_name`)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from replog.statuses import SORTED_LETTERS, letters_of
from replog.store.client.command import Command
from replog.store.client.scripts import PAGE
from replog.store.read.bounded_reads import BYTES_A_CALL, PEEKED, Span, values_of
from replog.store.read.details import filter_planner
from replog.store.read.details.facets import FACET_LIMITS, FacetLimits, read_facets
from replog.store.read.details.filter_planner import COSTS, Costs
from replog.store.read.details.name_entries import Selected, Source
from replog.store.read.details.page_by_name import (
    NAME_LIMITS,
    NamedPage,
    NameIndex,
    NameLimits,
    Ways,
)
from replog.store.read.details.page_by_rank import RANK_LIMITS, RankedDetails, RankLimits
from replog.store.read.details.page_by_scan import SCAN_LIMITS, ScanLimits, ScannedDetails

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.keys import RecordKeys
    from replog.store.read.details.facets import Facets
    from replog.store.read.details.matches import Matches
    from replog.store.read.filters import DetailFilter, NameCondition

_TOP = b"\xff"


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """Limits and costs that decide how a page is found, and in how large steps."""

    #: Entries of a name's prefix that are read as a whole, whatever else would do.
    narrow: int = 2000
    #: Details read at once by a walk over all.
    step: int = 250
    facets: FacetLimits = FACET_LIMITS
    costs: Costs = COSTS
    rank: RankLimits = RANK_LIMITS
    names: NameLimits = NAME_LIMITS
    scan: ScanLimits = SCAN_LIMITS


SEARCH_LIMITS = SearchLimits()


class SearchResult(NamedTuple):
    """The ids of one page, newest first, and the number of all matches.

    ``version`` is the record's when the search began; ``strategy`` names how the page was found. ``values`` are those
    of the ids, where all was read at that version. ``matches`` are those around it, where they were costly to find.
    """

    version: bytes
    total: int
    ids: list[bytes]
    strategy: str
    values: Sequence[bytes | None] | None = None
    matches: Matches | None = None


class Selection(NamedTuple):
    """The candidates: all matches are among them.

    ``facets``, where given, admit them. Where ``names`` are given, all matches have one of the ``entries`` of the index
    by name that begin with one of these.
    """

    facets: Facets | None = None
    names: tuple[bytes, ...] = ()
    entries: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there are no matches at all."""
        return not self.facets.matches if self.facets else not self.names


class _Counted(NamedTuple):
    """A condition on names with the entries that meet it; ``spans`` are by start and status."""

    condition: NameCondition
    spans: list[Span]

    @property
    def entries(self) -> int:
        return sum(span.size for span in self.spans)


class _Begun(NamedTuple):
    """The start of a search by name: ``details`` are those of the wanted status, or all."""

    version: bytes | None
    details: int
    conditions: list[_Counted]

    @property
    def narrowing(self) -> list[_Counted]:
        """The conditions that not all details meet."""
        return [each for each in self.conditions if each.condition.is_of_key or each.entries < self.details]


class Search:
    """One filtered read of one record's details."""

    def __init__(
        self,
        connection: CommandRunner,
        keys: RecordKeys,
        flt: DetailFilter,
        limits: SearchLimits = SEARCH_LIMITS,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._limits = limits
        self._filter = flt
        self._letters = letters_of(flt.status)

    async def page(self, offset: int, limit: int) -> SearchResult | None:
        """The page of ``limit`` matches from ``offset`` on; None where the record does not exist."""
        names = self._filter.names
        if not names:
            return await self._by_rank(offset, limit)
        begun = await self._begin(names, peeks=True)
        if begun.version is None:
            return None
        if not all(counted.entries for counted in begun.conditions):
            return SearchResult(begun.version, 0, [], "names")
        narrowing = begun.narrowing
        if not narrowing:
            return await self._by_rank(offset, limit)
        facets = await self._narrowing_facets(begun.details)
        if len(narrowing) == 1 and facets is None:
            scanned = await self._by_scan(begun.version, narrowing[0].entries, begun.details, offset, limit)
            if scanned:
                return scanned
        total, ids, matches = await self._by_name(narrowing, facets, offset, limit)
        return SearchResult(begun.version, total, ids, "names", matches=matches)

    async def selection(self) -> Selection:
        """The candidates: all matches are among them."""
        names = self._filter.names
        begun = await self._begin(names, peeks=False) if names else None
        if begun is None:
            return Selection(await self._facets())
        if begun.version is None or not all(counted.entries for counted in begun.conditions):
            return Selection()
        if not begun.narrowing:
            return Selection(await self._facets())
        rarest = min(begun.narrowing, key=lambda counted: counted.entries)
        starts = tuple(letter + start for start in rarest.condition.starts for letter in self._letters)
        facets = await self._facets() if self._filter.is_of_pairs else None
        return Selection(facets, starts, rarest.entries)

    async def _facets(self, *, needs_heads: bool = True) -> Facets:
        limits = self._limits.facets
        return await read_facets(self._connection, self._keys, self._filter, limits, needs_heads=needs_heads)

    async def _of_status(self, version: bytes, pairs: int, offset: int, limit: int) -> SearchResult | None:
        """A page of all details of the filter's status; None where the record has more than so many ``pairs``."""
        asked = (offset, limit, BYTES_A_CALL, b"".join(self._letters), SORTED_LETTERS)
        # Pairs are only added: where there are as many behind the page, there were no others in it.
        (now, total, ids, values), known = await self._connection.run(
            [Command(PAGE, self._keys.all[:3], asked), Command("ZCARD", [self._keys.pairs])]
        )
        if known != pairs:
            return None
        is_whole = now == version and len(values) == len(ids)
        return SearchResult(version, total, ids, "status", values if is_whole else None)

    async def _by_rank(self, offset: int, limit: int) -> SearchResult | None:
        facets = await self._facets(needs_heads=False)
        if facets.version and facets.every_pair is not None:
            page = await self._of_status(facets.version, facets.every_pair, offset, limit)
            if page:
                return page
            facets = await self._facets()
        if facets.version is None:
            return None
        ranked = RankedDetails(self._connection, self._keys, facets, self._letters, self._limits.rank)
        ids = await ranked.page(offset, limit)
        return SearchResult(facets.version, facets.matches, ids, "pairs")

    async def _begin(self, names: Sequence[NameCondition], *, peeks: bool) -> _Begun:
        """The number of entries of each condition; with ``peeks``, also the first of them."""
        starts = [letter + start for name in names for start in name.starts for letter in self._letters]
        calls = [Command("HMGET", [self._keys.record], ["v", *(b"n" + letter for letter in self._letters)])]
        calls += _counting(self._keys.by_name, starts)
        begun = len(calls)
        calls += _peeks(self._keys.by_name, starts) if peeks else []
        replies = await self._connection.run(calls)
        (version, *details), *counts = replies[:begun]
        spans = iter(_spans(starts, counts, replies[begun:] or repeat(None)))
        counted = [_Counted(name, [next(spans) for _ in name.starts for _ in self._letters]) for name in names]
        return _Begun(version, sum(int(number or 0) for number in details), counted)

    async def _narrowing_facets(self, details: int) -> Facets | None:
        """The facets, where the filter does not admit all pairs of the record's so many ``details``."""
        if not self._filter.is_of_pairs:
            return None
        facets = await self._facets(needs_heads=False)
        is_needed = facets.every_pair is None and (facets.keyed or facets.matches < details)
        return facets if is_needed else None

    async def _by_scan(self, version: bytes, total: int, details: int, offset: int, limit: int) -> SearchResult | None:
        """A page of the ``total`` matches among so many ``details``; None where their entries are read sooner."""
        if total <= self._limits.narrow:
            return None
        scanned = ScannedDetails(
            self._connection, self._keys, self._filter, self._limits.scan, matches=total, details=details
        )
        page = await scanned.page(offset, limit)
        if page is None:
            return None
        values = [value for _, value in page.rows] if page.versions == {version} else None
        return SearchResult(version, total, [detail_id for detail_id, _ in page.rows], "scan", values)

    async def _by_name(self, conditions: list[_Counted], facets: Facets | None, offset: int, limit: int) -> NamedPage:
        """A page of the details that meet ``conditions`` and that ``facets``, unless None, admit."""
        if len(conditions) == 1 and facets is None and offset >= conditions[0].entries:
            return NamedPage(conditions[0].entries, [])
        ways = await self._ways(conditions, facets)
        return await NameIndex(self._connection, self._keys.by_name, ways, self._limits.names).page(offset, limit)

    async def _ways(self, conditions: list[_Counted], facets: Facets | None) -> Ways:
        pairs = facets and filter_planner.Pairs(facets.matches, len(facets.matching))
        weighed = [filter_planner.Condition(each.entries, each.condition.is_exact) for each in conditions]
        plan = filter_planner.cheapest(weighed, pairs, self._limits.costs)
        sources = [self._source(counted, facets) for counted in conditions]
        heads = list(facets.matching) if facets else []
        driver = await self._of_heads(heads) if plan.driver is None else sources[plan.driver]
        return Ways(
            driver,
            filter_planner.cost(plan, weighed, pairs, self._limits.costs),
            [sources[number] for number in plan.joined],
            [conditions[number].condition.starts[0] for number in plan.asked],
            self._admitted if plan.checked else None,
        )

    def _source(self, counted: _Counted, facets: Facets | None) -> Source:
        """The entries of a condition, of the pairs that count."""
        parts = [Selected(span, None if facets is None else facets.pairs) for span in counted.spans]
        if facets is not None and counted.condition.is_of_key:
            of_names, letters = facets.pairs - facets.keyed, len(self._letters)
            parts[:letters] = [Selected(part.span, of_names) for part in parts[:letters]]
        return Source(self._keys.by_name, parts)

    async def _of_heads(self, heads: Sequence[bytes]) -> Source:
        """The entries of the index by pair that begin with one of ``heads``."""
        counts = await self._connection.run(_counting(self._keys.by_pair, heads))
        parts = [Selected(span) for span in _spans(heads, counts)]
        return Source(self._keys.by_pair, parts, is_by_pair=True)

    async def _admitted(self, ids: list[bytes]) -> set[bytes]:
        rows = [row async for row in values_of(self._connection, self._keys.details, ids)]
        return {detail_id for detail_id, _ in self._filter.matching(rows)}


def _counting(key: bytes, starts: Sequence[bytes]) -> list[Command]:
    """Calls that count, for each of ``starts``, the entries before and with it; :func:`_spans` reads the replies."""
    bounds = [((b"-", b"(" + start), (b"[" + start, b"(" + start + _TOP)) for start in starts]
    return [Command("ZLEXCOUNT", [key], both) for pair in bounds for both in pair]


def _peeks(key: bytes, starts: Sequence[bytes]) -> list[Command]:
    """Calls that read, for each of ``starts``, the first entries with it; :func:`_spans` takes the replies."""
    bounds = [(b"[" + start, b"(" + start + _TOP) for start in starts]
    return [Command("ZRANGEBYLEX", [key], [*both, "LIMIT", 0, PEEKED]) for both in bounds]


def _spans(
    starts: Sequence[bytes], counts: Sequence[int], peeks: Iterable[list[bytes] | None] = repeat(None)
) -> list[Span]:
    # The default is endless.
    return [Span(*of) for of in zip(starts, counts[::2], counts[1::2], peeks, strict=False)]
