"""The pairs of a record's details, and how many details of each status they have: filters select from these."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import chain, islice
from operator import ge
from typing import TYPE_CHECKING, NamedTuple

from msgspec.json import Decoder

from replog.cancellation import finish_all
from replog.statuses import LETTERS, letters_of
from replog.store.client.command import Command
from replog.store.client.scripts import FACETS
from replog.store.format.index_entries import KEYED, split_pair
from replog.store.read.bounded_reads import members_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.keys import RecordKeys
    from replog.store.read.filters import DetailFilter


@dataclass(frozen=True, slots=True)
class FacetLimits:
    """Limits of reading the pairs of a record."""

    #: Fields of a record's hash that are read at once, with all pairs: those of some 950 pairs.
    few_fields: int = 1000
    #: Pairs that one call reads where there are more.
    pairs_a_call: int = 1000
    #: Clusters whose pairs are found one cluster after the other, for a filter on repositories.
    few_clusters: int = 200


FACET_LIMITS = FacetLimits()


class Facets(NamedTuple):
    """Heads (pair and status) that have details, with their numbers.

    ``details`` is the number of the record's details that have the filter's status, or of all. ``others`` are the heads
    that a filter does not admit, where all heads of the record are known; else None. ``keyed`` are the pairs (their
    numbers) among the matching ones whose keys are not scheme and name. ``version`` is the record's; None: there is no
    such record. ``every_pair``, where given, is the number of the record's pairs: the filter admits all of them, and no
    heads were read.
    """

    version: bytes | None
    details: int
    matching: dict[bytes, int]
    others: dict[bytes, int] | None
    keyed: frozenset[bytes]
    every_pair: int | None = None

    @property
    def matches(self) -> int:
        """Details that the filter's status, cluster, repository and scheme admit."""
        return sum(self.matching.values()) if self.every_pair is None else self.details

    @property
    def pairs(self) -> frozenset[bytes]:
        """The numbers of the pairs that have them."""
        return frozenset(head[:-1] for head in self.matching)


class CountedPairs(NamedTuple):
    """Pairs of one record, each with its numbers of details.

    ``members`` are those of the index of pairs, in its order; ``numbers`` are how many details of each status their
    pairs have, one after the other, in the order of LETTERS. ``details`` is the number of the record's details that
    have the filter's status, or of all. ``is_whole``: no other pair has details. ``is_atomic``: all is of one moment.
    """

    version: bytes | None
    details: int
    members: list[bytes]
    numbers: list[int]
    is_whole: bool
    is_atomic: bool


class _Overview(NamedTuple):
    """The reply of ``facets.lua``; ``clusters`` are the numbers of wanted pairs by cluster, None where not counted."""

    version: bytes | None
    details: int
    every_pair: int
    before: int
    within: int
    clusters: dict[bytes, int] | None
    members: list[bytes]
    fields: list[bytes]

    @property
    def wanted(self) -> int:
        """Pairs that the prefixes of the filter admit, or more where the clusters were not counted."""
        return self.within if self.clusters is None else sum(self.clusters.values())


async def read_pairs(
    connection: CommandRunner, keys: RecordKeys, flt: DetailFilter, limits: FacetLimits = FACET_LIMITS
) -> CountedPairs:
    """All pairs of a record that ``flt``'s cluster and repository may admit, and perhaps others."""
    return await _pairs_of(connection, keys, flt, await _overview(connection, keys, flt, limits), limits)


async def read_facets(
    connection: CommandRunner,
    keys: RecordKeys,
    flt: DetailFilter,
    limits: FacetLimits = FACET_LIMITS,
    *,
    needs_heads: bool = True,
) -> Facets:
    """The facets of a record as ``flt``'s status, cluster, repository and scheme divide them.

    Unless the caller ``needs_heads``, they are not read where the filter admits all of many pairs.
    """
    overview = await _overview(connection, keys, flt, limits)
    # Without the clusters, nobody has counted the pairs of these repositories.
    is_counted = flt.is_of_pair_ranges and (overview.clusters is not None or not flt.behind_clusters)
    if not needs_heads and is_counted and overview.wanted == overview.every_pair and not overview.fields:
        return Facets(overview.version, overview.details, {}, {}, frozenset(), overview.every_pair)
    counted = await _pairs_of(connection, keys, flt, overview, limits)
    letters = letters_of(flt.status)
    matching: dict[bytes, int] = {}
    others: dict[bytes, int] = {}
    keyed: set[bytes] = set()
    admits = flt.admission() if flt.is_of_pairs else None
    by_pair = zip(*[iter(counted.numbers)] * len(LETTERS), strict=True)
    for (cluster, repo, scheme, pair), counts in zip(map(split_pair, counted.members), by_pair, strict=True):
        is_asked = admits is None or admits(cluster, repo, scheme)
        if is_asked and scheme.endswith(KEYED):
            keyed.add(pair)
        for letter, count in zip(LETTERS, counts, strict=True):
            if count:
                (matching if is_asked and letter in letters else others)[pair + letter] = count
    return Facets(counted.version, counted.details, matching, others if counted.is_whole else None, frozenset(keyed))


async def _overview(connection: CommandRunner, keys: RecordKeys, flt: DetailFilter, limits: FacetLimits) -> _Overview:
    begin = flt.first_pairs
    numbers = [b"n" + letter for letter in letters_of(flt.status)]
    bounds = (b"[" + begin, b"(" + begin + b"\xff")
    asked = (*bounds, limits.few_fields, flt.behind_clusters, limits.few_clusters, "v", *numbers)
    (found,) = await connection.run([Command(FACETS, [keys.record, keys.pairs], asked)])
    (version, *numbered), every_pair, before, within, clusters, members, fields = found
    by_cluster = None if clusters is None else dict(zip(clusters[::2], clusters[1::2], strict=True))
    details = sum(int(number or 0) for number in numbered)
    return _Overview(version, details, every_pair, before, within, by_cluster, members, fields)


async def _pairs_of(
    connection: CommandRunner, keys: RecordKeys, flt: DetailFilter, overview: _Overview, limits: FacetLimits
) -> CountedPairs:
    version, details, every_pair, before, within, clusters, members, fields = overview
    if fields:
        values = dict(zip(fields[::2], fields[1::2], strict=True))
        numbers = _numbers([*map(values.get, _fields(members))])
        return CountedPairs(version, details, members, numbers, is_whole=True, is_atomic=True)
    # Of more than half, the others are worth knowing, which are then what is counted.
    if clusters is not None and 2 * overview.wanted <= every_pair:
        starts = [cluster + b"\x00" + flt.behind_clusters for cluster in clusters]
        found = await _of_starts(connection, keys, starts, limits.pairs_a_call)
        return CountedPairs(version, details, *found, is_whole=False, is_atomic=not clusters)
    parts = range(before, before + within, limits.pairs_a_call)
    found = await _in_parts(connection, keys, parts)
    return CountedPairs(version, details, *found, is_whole=within == every_pair, is_atomic=not within)


async def _of_starts(
    connection: CommandRunner, keys: RecordKeys, starts: Sequence[bytes], a_call: int
) -> tuple[list[bytes], list[int]]:
    """The members that begin with one of ``starts``, and their numbers."""
    steps = members_of(connection, keys.pairs, starts, a_call=a_call, at_once=max(1, len(starts)))
    members = sorted([member async for some in steps for member in some])
    parts = [members[at : at + a_call] for at in range(0, len(members), a_call)]
    stored = await connection.run([_reading_numbers(keys, part) for part in parts]) if parts else []
    return members, _numbers([*chain.from_iterable(stored)])


async def _in_parts(connection: CommandRunner, keys: RecordKeys, parts: range) -> tuple[list[bytes], list[int]]:
    """The members from the first rank of ``parts`` to its end, and their numbers, in calls as long as its step.

    Parts are read at once: Redis finds one while another is split.
    """
    ranks = [(first, min(parts.stop, first + parts.step) - 1) for first in parts]
    reads = [asyncio.create_task(_part(connection, keys, *of), name="read of pairs") for of in ranks]
    found = await finish_all(*reads)
    members = [*chain.from_iterable(members for members, _ in found)]
    stored = [*chain.from_iterable(stored for _, stored in found)]
    # A pair that came between two reads may have moved another into both parts.
    if any(map(ge, members, islice(members, 1, None))):
        by_member = dict(zip(members, stored, strict=True))
        members = sorted(by_member)
        stored = [by_member[member] for member in members]
    return members, _numbers(stored)


async def _part(
    connection: CommandRunner, keys: RecordKeys, first: int, last: int
) -> tuple[list[bytes], list[bytes | None]]:
    """The members from one rank to another, and the fields of their numbers.

    Commands of their own: a script that finds the fields of the pairs takes Redis three times as long.
    """
    (members,) = await connection.run([Command("ZRANGE", [keys.pairs], (first, last))])
    if not members:
        return [], []
    (stored,) = await connection.run([_reading_numbers(keys, members)])
    return members, stored


def _reading_numbers(keys: RecordKeys, members: Sequence[bytes]) -> Command:
    """The command that reads the fields of the numbers of these pairs, one at least."""
    return Command("HMGET", [keys.record], _fields(members))


def _fields(members: Iterable[bytes]) -> list[bytes]:
    """The fields of the record's hash that have the numbers of these pairs."""
    # As split_pair, without calling it for each of many.
    return [b"f" + member.split(b"\x00", 3)[3] for member in members]


def _numbers(stored: Sequence[bytes | None]) -> list[int]:
    """The numbers in these fields, one after the other."""
    return _integers(b"[%b]" % b",".join([field or _NONE for field in stored]))


#: Of a pair that has come meanwhile.
_NONE = b",".join([b"0"] * len(LETTERS))
#: Faster than ``int`` for each.
_integers = Decoder(list[int]).decode
