"""The pairs of a record's details, and how many details of each status they have: what filters select from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from replog.store.connection import Call
from replog.store.index import escape
from replog.store.scripts import FACETS

if TYPE_CHECKING:
    from replog.store.filters import DetailFilter
    from replog.store.keys import RecordKeys
    from replog.store.sharing import Runs

#: Pairs read in one call.
PAIRS_A_CALL = 150
#: Calls that are sent before it is known how many pairs there are.
FIRST_CALLS = 2
#: In the order of the script's counts.
_LETTERS = (b"R", b"S", b"F")


class Facets(NamedTuple):
    """Heads (pair and status) that have details, with their numbers.

    ``others`` are those that a filter does not admit, where all heads of the record are known; else None. ``version``
    is the record's; None: there is no such record.
    """

    version: bytes | None
    details: int
    matching: dict[bytes, int]
    others: list[bytes] | None

    @property
    def matches(self) -> int:
        """Details that the filter's status, cluster and repository admit."""
        return sum(self.matching.values())


async def read_facets(connection: Runs, keys: RecordKeys, flt: DetailFilter, status: bytes) -> Facets:
    """The facets of a record as ``flt``'s cluster and repository and ``status``, a letter or empty, divide them."""
    cluster, repo = escape(flt.cluster_name), escape(flt.repo_name)
    bounds = [b"[" + cluster, b"(" + cluster + b"\xff"]
    asked = [keys.record, keys.pairs, keys.time]

    def calls(begin: int, end: int) -> list[Call]:
        return [Call(FACETS, asked, [*bounds, at, PAIRS_A_CALL]) for at in range(begin, end, PAIRS_A_CALL)]

    # Most records' pairs are in the first calls; how many there are, these tell.
    first = await connection.run(calls(0, FIRST_CALLS * PAIRS_A_CALL))
    version, details, every_pair, in_bounds = first[0][:4]
    more = await connection.run(calls(FIRST_CALLS * PAIRS_A_CALL, in_bounds))
    matching: dict[bytes, int] = {}
    others: list[bytes] = []
    for *_, members, counts in (*first, *more):
        heads = [(member, letter) for member in members for letter in _LETTERS]
        for (member, letter), count in zip(heads, counts, strict=True):
            if not count or count == b"0":
                continue
            _, name, pair = member.split(b"\x00", 2)
            head = pair + letter
            if (not status or letter == status) and name.startswith(repo):
                matching[head] = int(count)
            else:
                others.append(head)
    return Facets(version, details, matching, others if in_bounds == every_pair else None)
