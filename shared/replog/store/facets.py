"""The pairs of a record's details, and how many details of each status they have: what filters select from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from replog.store.connection import Call
from replog.store.index import escape
from replog.store.scripts import FACETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from replog.store.filters import DetailFilter
    from replog.store.keys import RecordKeys
    from replog.store.sharing import Runs

#: Fields of a record's hash that are read at once, with all pairs: those of some 300 pairs.
FEW_FIELDS = 1000
#: Pairs, and counts of pairs, that are read in one call where there are more.
PAIRS_A_CALL, COUNTS_A_CALL = 1000, 500
_LETTERS = (b"R", b"S", b"F")


class Facets(NamedTuple):
    """Heads (pair and status) that have details, with their numbers.

    ``others`` are those that a filter does not admit, where all heads of the record are known; else None. ``version``
    is the record's; None: there is no such record.
    """

    version: bytes | None
    details: int
    matching: dict[bytes, int]
    others: dict[bytes, int] | None

    @property
    def matches(self) -> int:
        """Details that the filter's status, cluster and repository admit."""
        return sum(self.matching.values())


async def read_facets(connection: Runs, keys: RecordKeys, flt: DetailFilter, status: bytes) -> Facets:
    """The facets of a record as ``flt``'s cluster and repository and ``status``, a letter or empty, divide them."""
    cluster, repo = escape(flt.cluster_name), escape(flt.repo_name)
    asked = (b"[" + cluster, b"(" + cluster + b"\xff", FEW_FIELDS)
    (first,) = await connection.run([Call(FACETS, [keys.record, keys.pairs, keys.time], asked)])
    version, details, every_pair, before, within, members, fields = first
    if fields:
        counts: Mapping[bytes, bytes | None] = dict(zip(fields[::2], fields[1::2], strict=True))
        is_all = True
    else:
        members = await _members(connection, keys, before, before + within)
        counts = await _counts(connection, keys, members)
        is_all = within == every_pair
    matching: dict[bytes, int] = {}
    others: dict[bytes, int] = {}
    for member in members:
        _, name, pair = member.split(b"\x00", 2)
        is_asked = member.startswith(cluster) and name.startswith(repo)
        for letter in _LETTERS:
            count = int(counts.get(_field(pair, letter)) or 0)
            if count:
                admitted = is_asked and (not status or letter == status)
                (matching if admitted else others)[pair + letter] = count
    return Facets(version, details, matching, others if is_all else None)


def _field(pair: bytes, letter: bytes) -> bytes:
    return b"f" + pair + letter


async def _members(connection: Runs, keys: RecordKeys, begin: int, end: int) -> list[bytes]:
    steps = [(at, min(end, at + PAIRS_A_CALL) - 1) for at in range(begin, end, PAIRS_A_CALL)]
    replies = await connection.run([Call("ZRANGE", [keys.pairs], step) for step in steps])
    return [member for reply in replies for member in reply]


async def _counts(connection: Runs, keys: RecordKeys, members: Iterable[bytes]) -> Mapping[bytes, bytes | None]:
    fields = [_field(member.split(b"\x00", 2)[2], letter) for member in members for letter in _LETTERS]
    steps = [fields[at : at + COUNTS_A_CALL] for at in range(0, len(fields), COUNTS_A_CALL)]
    replies = await connection.run([Call("HMGET", [keys.record], step) for step in steps])
    return dict(zip(fields, (count for reply in replies for count in reply), strict=True))
