"""The pairs of a record's details, and how many details of each status they have: filters select from these."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from replog.statuses import STATUS_LETTERS, STATUSES
from replog.store.client.command import Command
from replog.store.client.scripts import FACETS, PAIRS
from replog.store.format.index_entries import KEYED, split_pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.keys import RecordKeys
    from replog.store.read.filters import DetailFilter

#: Fields of a record's hash that are read at once, with all pairs: those of some 300 pairs.
FEW_FIELDS = 1000
#: Pairs that are read in one call where there are more.
PAIRS_A_CALL = 300
_LETTERS = tuple(status.letter for status in STATUSES)

#: A member of the index of pairs, and how many details of each status its pair has.
_Counted = tuple[bytes, "Iterable[bytes | None]"]


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


async def read_facets(connection: CommandRunner, keys: RecordKeys, flt: DetailFilter) -> Facets:
    """The facets of a record as ``flt``'s status, cluster, repository and scheme divide them."""
    status, begin = STATUS_LETTERS.get(flt.status), flt.first_pairs
    asked = (b"[" + begin, b"(" + begin + b"\xff", FEW_FIELDS)
    (first,) = await connection.run([Command(FACETS, [keys.record, keys.pairs, keys.time], asked)])
    version, details, every_pair, before, within, members, fields = first
    if fields:
        counted, is_all = _counted(members, fields), True
    else:
        counted, is_all = await _in_parts(connection, keys, before, before + within), within == every_pair
    matching: dict[bytes, int] = {}
    others: dict[bytes, int] = {}
    keyed: set[bytes] = set()
    admits = flt.admission()
    for member, counts in counted:
        cluster, repo, scheme, pair = split_pair(member)
        is_asked = admits(cluster, repo, scheme)
        if is_asked and scheme.endswith(KEYED):
            keyed.add(pair)
        for letter, count in zip(_LETTERS, counts, strict=True):
            if count and count != b"0":
                admitted = is_asked and (status is None or letter == status)
                (matching if admitted else others)[pair + letter] = int(count)
    return Facets(version, details, matching, others if is_all else None, frozenset(keyed))


def _counted(members: Iterable[bytes], fields: Sequence[bytes]) -> Iterator[_Counted]:
    """The pairs with their counts, from all ``fields`` of the record's hash."""
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    for member in members:
        field = b"f" + split_pair(member)[-1]
        yield member, [values.get(field + letter) for letter in _LETTERS]


async def _in_parts(connection: CommandRunner, keys: RecordKeys, begin: int, end: int) -> Iterator[_Counted]:
    """The pairs between two ranks with their counts."""
    steps = [(at, min(end, at + PAIRS_A_CALL) - 1) for at in range(begin, end, PAIRS_A_CALL)]
    replies = await connection.run([Command(PAIRS, [keys.record, keys.pairs], (*step, *_LETTERS)) for step in steps])
    return (
        item
        for members, counts in replies
        for item in zip(members, zip(*[iter(counts)] * len(_LETTERS), strict=True), strict=True)
    )
