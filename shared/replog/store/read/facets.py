"""The pairs of a record's details, and how many details of each status they have: filters select from these."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.json import Decoder

from replog.statuses import STATUS_LETTERS, STATUSES
from replog.store.client.command import Command
from replog.store.client.scripts import FACETS
from replog.store.format.index_entries import KEYED, split_pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.keys import RecordKeys
    from replog.store.read.filters import DetailFilter

#: All statuses, in the order in which a pair's numbers of details stand.
LETTERS = tuple(status.letter for status in STATUSES)

#: A member of the index of pairs, split, and how many details of each status that was asked for its pair has.
_Counted = tuple[list[bytes], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class FacetLimits:
    """Limits of reading the pairs of a record."""

    #: Fields of a record's hash that are read at once, with all pairs: those of some 300 pairs.
    few_fields: int = 1000
    #: Pairs, and then fields, that one call reads where there are more.
    pairs_a_call: int = 1000
    fields_a_call: int = 1000


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
    """Pairs of one record, each with its numbers of details by status, in the order in which these were asked for.

    ``is_whole``: no other pair has details. ``is_atomic``: all is of one moment.
    """

    version: bytes | None
    details: int
    pairs: Iterable[_Counted]
    is_whole: bool
    is_atomic: bool


async def read_pairs(
    connection: CommandRunner,
    keys: RecordKeys,
    flt: DetailFilter,
    letters: Sequence[bytes] = LETTERS,
    limits: FacetLimits = FACET_LIMITS,
) -> CountedPairs:
    """All pairs of a record that ``flt``'s cluster and repository may admit, and perhaps others.

    They come by cluster, repository and scheme. ``letters`` are those of the statuses to be counted.
    """
    begin = flt.first_pairs
    asked = (b"[" + begin, b"(" + begin + b"\xff", limits.few_fields)
    (first,) = await connection.run([Command(FACETS, [keys.record, keys.pairs, keys.time], asked)])
    version, details, every_pair, before, within, members, fields = first
    if fields:
        return CountedPairs(version, details, _counted(members, fields, letters), is_whole=True, is_atomic=True)
    pairs = await _in_parts(connection, keys, range(before, before + within, limits.pairs_a_call), letters, limits)
    return CountedPairs(version, details, pairs, is_whole=within == every_pair, is_atomic=not within)


async def read_facets(
    connection: CommandRunner,
    keys: RecordKeys,
    flt: DetailFilter,
    *,
    with_others: bool = False,
    limits: FacetLimits = FACET_LIMITS,
) -> Facets:
    """The facets of a record as ``flt``'s status, cluster, repository and scheme divide them.

    Only ``with_others`` are those read that the filter does not admit.
    """
    letters = LETTERS if with_others or not flt.status else (STATUS_LETTERS[flt.status],)
    counted = await read_pairs(connection, keys, flt, letters, limits)
    status = STATUS_LETTERS.get(flt.status)
    matching: dict[bytes, int] = {}
    others: dict[bytes, int] = {}
    keyed: set[bytes] = set()
    admits = flt.admission() if flt.is_of_pairs else None
    for (cluster, repo, scheme, pair), counts in counted.pairs:
        is_asked = admits is None or admits(cluster, repo, scheme)
        if is_asked and scheme.endswith(KEYED):
            keyed.add(pair)
        for letter, count in zip(letters, counts, strict=True):
            if count:
                admitted = is_asked and (status is None or letter == status)
                (matching if admitted else others)[pair + letter] = count
    is_known = with_others and counted.is_whole
    return Facets(counted.version, counted.details, matching, others if is_known else None, frozenset(keyed))


def _counted(members: Iterable[bytes], fields: Sequence[bytes], letters: Sequence[bytes]) -> Iterator[_Counted]:
    """The pairs with their counts, from all ``fields`` of the record's hash."""
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    for pair in map(split_pair, members):
        field = b"f" + pair[-1]
        yield pair, tuple([int(values.get(field + letter, 0)) for letter in letters])


async def _in_parts(
    connection: CommandRunner, keys: RecordKeys, parts: range, letters: Sequence[bytes], limits: FacetLimits
) -> Iterator[_Counted]:
    """The pairs with their counts, from the first rank of ``parts`` to its end, in calls as long as its step.

    Commands of their own: a script that finds the fields of the pairs takes Redis three times as long.
    """
    steps = [(begin, min(parts.stop, begin + parts.step) - 1) for begin in parts]
    members = await _joined(connection, [Command("ZRANGE", [keys.pairs], step) for step in steps])
    pairs = [*map(split_pair, members)]
    fields = [b"f" + pair[-1] + letter for pair in pairs for letter in letters]
    starts = range(0, len(fields), limits.fields_a_call)
    calls = [Command("HMGET", [keys.record], fields[at : at + limits.fields_a_call]) for at in starts]
    counts = await _joined(connection, calls)
    numbers = _integers(b"[%b]" % b",".join([count or b"0" for count in counts]))
    return zip(pairs, zip(*[iter(numbers)] * len(letters), strict=True), strict=True)


async def _joined(connection: CommandRunner, calls: Sequence[Command]) -> list[Any]:
    """The elements of all replies."""
    return [*chain.from_iterable(await connection.run(calls))]


#: Faster than ``int`` for each.
_integers = Decoder(list[int]).decode
