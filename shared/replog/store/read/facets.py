"""The pairs of a record's details, and how many details of each status they have: filters select from these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from replog.statuses import STATUS_LETTERS, STATUSES
from replog.store.client.command import Command
from replog.store.client.scripts import FACETS, PAIRS
from replog.store.format.index_entries import KEYED, split_pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.keys import RecordKeys
    from replog.store.read.filters import DetailFilter

#: Statuses in the order in which a pair's numbers of details stand.
LETTERS = tuple(status.letter for status in STATUSES)

#: A member of the index of pairs, and how many details of each status its pair has.
_Counted = tuple[bytes, Iterable[bytes | None]]


@dataclass(frozen=True, slots=True)
class FacetLimits:
    """Limits of reading the pairs of a record."""

    #: Fields of a record's hash that are read at once, with all pairs: those of some 300 pairs.
    few_fields: int = 1000
    #: Pairs that are read in one call where there are more.
    pairs_a_call: int = 300


FACET_LIMITS = FacetLimits()


class Facets(NamedTuple):
    """Heads (pair and status) that have details, with their numbers.

    ``others`` are those that a filter does not admit, where all heads of the record are known; else None. ``keyed`` are
    the pairs (their numbers) among the matching ones whose keys are not scheme and name. ``version`` is the record's;
    None: there is no such record.
    """

    version: bytes | None
    details: int
    matching: dict[bytes, int]
    others: dict[bytes, int] | None
    keyed: frozenset[bytes]

    @property
    def matches(self) -> int:
        """Details that the filter's status, cluster, repository and scheme admit."""
        return sum(self.matching.values())

    @property
    def pairs(self) -> frozenset[bytes]:
        """The numbers of the pairs that have them."""
        return frozenset(head[:-1] for head in self.matching)


class CountedPairs(NamedTuple):
    """Pairs with their numbers of details by status (:data:`LETTERS`), of one record.

    ``is_whole``: no other pair has details. ``is_atomic``: all is of one moment.
    """

    version: bytes | None
    details: int
    pairs: Iterable[_Counted]
    is_whole: bool
    is_atomic: bool


async def read_pairs(
    connection: CommandRunner, keys: RecordKeys, flt: DetailFilter, limits: FacetLimits = FACET_LIMITS
) -> CountedPairs:
    """All pairs of a record that ``flt``'s cluster and repository may admit, and perhaps others."""
    begin = flt.first_pairs
    asked = (b"[" + begin, b"(" + begin + b"\xff", limits.few_fields)
    (first,) = await connection.run([Command(FACETS, [keys.record, keys.pairs, keys.time], asked)])
    version, details, every_pair, before, within, members, fields = first
    if fields:
        return CountedPairs(version, details, _counted(members, fields), is_whole=True, is_atomic=True)
    pairs = await _in_parts(connection, keys, range(before, before + within, limits.pairs_a_call))
    return CountedPairs(version, details, pairs, is_whole=within == every_pair, is_atomic=not within)


async def read_facets(
    connection: CommandRunner, keys: RecordKeys, flt: DetailFilter, limits: FacetLimits = FACET_LIMITS
) -> Facets:
    """The facets of a record as ``flt``'s status, cluster, repository and scheme divide them."""
    status = STATUS_LETTERS.get(flt.status)
    counted = await read_pairs(connection, keys, flt, limits)
    matching: dict[bytes, int] = {}
    others: dict[bytes, int] = {}
    keyed: set[bytes] = set()
    admits = flt.admission()
    for member, counts in counted.pairs:
        cluster, repo, scheme, pair = split_pair(member)
        is_asked = admits(cluster, repo, scheme)
        if is_asked and scheme.endswith(KEYED):
            keyed.add(pair)
        for letter, count in zip(LETTERS, counts, strict=True):
            if count and count != b"0":
                admitted = is_asked and (status is None or letter == status)
                (matching if admitted else others)[pair + letter] = int(count)
    return Facets(counted.version, counted.details, matching, others if counted.is_whole else None, frozenset(keyed))


def _counted(members: Iterable[bytes], fields: Sequence[bytes]) -> Iterator[_Counted]:
    """The pairs with their counts, from all ``fields`` of the record's hash."""
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    for member in members:
        field = b"f" + split_pair(member)[-1]
        yield member, [values.get(field + letter) for letter in LETTERS]


async def _in_parts(connection: CommandRunner, keys: RecordKeys, parts: range) -> Iterator[_Counted]:
    """The pairs with their counts, from the first rank of ``parts`` to its end, in calls as long as its step."""
    steps = [(begin, min(parts.stop, begin + parts.step) - 1) for begin in parts]
    replies = await connection.run([Command(PAIRS, [keys.record, keys.pairs], (*step, *LETTERS)) for step in steps])
    return (
        item
        for members, counts in replies
        for item in zip(members, zip(*[iter(counts)] * len(LETTERS), strict=True), strict=True)
    )
