"""The pairs of a record's details, and how many details of each status they have: filters select from these."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from msgspec.json import Decoder

from replog.cancellation import finish_all
from replog.statuses import LETTERS, letters_of
from replog.store.client.command import Command
from replog.store.client.scripts import FACETS
from replog.store.format.index_entries import KEYED, split_pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.keys import RecordKeys
    from replog.store.read.filters import DetailFilter

#: A member of the index of pairs, split, and how many details of each status its pair has, in the order of LETTERS.
_Counted = tuple[list[bytes], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class FacetLimits:
    """Limits of reading the pairs of a record."""

    #: Fields of a record's hash that are read at once, with all pairs: those of some 950 pairs.
    few_fields: int = 1000
    #: Pairs that one call reads where there are more.
    pairs_a_call: int = 1000


FACET_LIMITS = FacetLimits()


class Facets(NamedTuple):
    """Heads (pair and status) that have details, with their numbers.

    ``details`` is the number of the record's details that have the filter's status, or of all. ``others`` are the heads
    that a filter does not admit, where all heads of the record are known; else None. ``keyed`` are the pairs (their
    numbers) among the matching ones whose keys are not scheme and name. ``version`` is the record's; None: there is no
    such record.
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
    """Pairs of one record, each with its numbers of details.

    ``details`` is the number of the record's details that have the filter's status, or of all. ``is_whole``: no other
    pair has details. ``is_atomic``: all is of one moment.
    """

    version: bytes | None
    details: int
    pairs: Iterable[_Counted]
    is_whole: bool
    is_atomic: bool


async def read_pairs(
    connection: CommandRunner, keys: RecordKeys, flt: DetailFilter, limits: FacetLimits = FACET_LIMITS
) -> CountedPairs:
    """All pairs of a record that ``flt``'s cluster and repository may admit, and perhaps others.

    They come by cluster, repository and scheme.
    """
    begin = flt.first_pairs
    numbers = [b"n" + letter for letter in letters_of(flt.status)]
    asked = (b"[" + begin, b"(" + begin + b"\xff", limits.few_fields, "v", *numbers)
    (first,) = await connection.run([Command(FACETS, [keys.record, keys.pairs], asked)])
    (version, *numbered), every_pair, before, within, members, fields = first
    details = sum(int(number or 0) for number in numbered)
    if fields:
        values = dict(zip(fields[::2], fields[1::2], strict=True))
        pairs = [*map(split_pair, members)]
        counted = _counted(pairs, [values.get(b"f" + pair[-1]) for pair in pairs])
        return CountedPairs(version, details, counted, is_whole=True, is_atomic=True)
    parts = range(before, before + within, limits.pairs_a_call)
    counted = await _in_parts(connection, keys, parts)
    return CountedPairs(version, details, counted, is_whole=within == every_pair, is_atomic=not within)


async def read_facets(
    connection: CommandRunner, keys: RecordKeys, flt: DetailFilter, limits: FacetLimits = FACET_LIMITS
) -> Facets:
    """The facets of a record as ``flt``'s status, cluster, repository and scheme divide them."""
    counted = await read_pairs(connection, keys, flt, limits)
    letters = letters_of(flt.status)
    matching: dict[bytes, int] = {}
    others: dict[bytes, int] = {}
    keyed: set[bytes] = set()
    admits = flt.admission() if flt.is_of_pairs else None
    for (cluster, repo, scheme, pair), counts in counted.pairs:
        is_asked = admits is None or admits(cluster, repo, scheme)
        if is_asked and scheme.endswith(KEYED):
            keyed.add(pair)
        for letter, count in zip(LETTERS, counts, strict=True):
            if count:
                (matching if is_asked and letter in letters else others)[pair + letter] = count
    return Facets(counted.version, counted.details, matching, others if counted.is_whole else None, frozenset(keyed))


def _counted(pairs: Sequence[list[bytes]], stored: Sequence[bytes | None]) -> Iterator[_Counted]:
    """The pairs with their numbers, of which ``stored`` are the fields."""
    numbers = _integers(b"[%b]" % b",".join([field or _NONE for field in stored]))
    return zip(pairs, zip(*[iter(numbers)] * len(LETTERS), strict=True), strict=True)


async def _in_parts(connection: CommandRunner, keys: RecordKeys, parts: range) -> Iterator[_Counted]:
    """The pairs with their numbers, from the first rank of ``parts`` to its end, in calls as long as its step.

    Parts are read at once: Redis finds one while another is split.
    """
    ranks = [(first, min(parts.stop, first + parts.step) - 1) for first in parts]
    reads = [asyncio.create_task(_part(connection, keys, *of), name="read of pairs") for of in ranks]
    pairs, stored = zip(*await finish_all(*reads), strict=True) if reads else ((), ())
    return _counted([*chain.from_iterable(pairs)], [*chain.from_iterable(stored)])


async def _part(
    connection: CommandRunner, keys: RecordKeys, first: int, last: int
) -> tuple[list[list[bytes]], list[bytes | None]]:
    """The pairs from one rank to another, and the fields of their numbers.

    Commands of their own: a script that finds the fields of the pairs takes Redis three times as long.
    """
    (members,) = await connection.run([Command("ZRANGE", [keys.pairs], (first, last))])
    pairs = [*map(split_pair, members)]
    if not pairs:
        return [], []
    (stored,) = await connection.run([Command("HMGET", [keys.record], [b"f" + pair[-1] for pair in pairs])])
    return pairs, stored


#: Of a pair that has come meanwhile.
_NONE = b",".join([b"0"] * len(LETTERS))
#: Faster than ``int`` for each.
_integers = Decoder(list[int]).decode
