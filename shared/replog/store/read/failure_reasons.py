"""Reasons for which the details of a record failed, grouped by their text without numbers and hashes.

The newest :data:`EXAMINED` failed details are examined, in calls of 250. How many have failed at all is known without.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from functools import lru_cache
from math import isqrt
from typing import TYPE_CHECKING

import orjson

from replog.statuses import FAILED, STATUS_LETTERS
from replog.store.client.command import Command
from replog.store.format.detail_codec import head_of, reason_of
from replog.store.format.index_entries import unescape
from replog.store.format.keys import RecordKeys
from replog.store.read.facets import Facets, read_pairs
from replog.store.read.filters import DetailFilter
from replog.store.read.ordered_details import Bounds, ordered_details
from replog.store.read.results import FailureReason, FailureReasons, Versioned
from replog.store.read.versions import record_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.rows import StoredDetail

#: Failed details that are examined at most.
EXAMINED = 5000
#: What stands for a number or a hash.
MASK = "<n>"
#: Reasons kept masked: of many details they are the same.
_KEPT_REASONS = 2048
#: Heads that are looked up together: reading the details of a stretch of time instead takes more, up to the cost that
#: :mod:`replog.store.read.ordered_details` weighs.
MOST_HEADS = 100_000
#: Standard deviations by which the first stretch of time is aimed at having more failures than are examined.
MARGIN = 4

_FAILED = DetailFilter(status=FAILED)
#: A UUID; hexadecimal digits behind 0x; six and more of them, with a decimal one, that are a word of their own; then
#: decimal digits.
_VARIES = re.compile(
    r"(?<![0-9a-z])(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|0x[0-9a-f]+|(?=[a-f]*[0-9])[0-9a-f]{6,})(?![0-9a-z])"
    r"|[0-9]+",
    re.IGNORECASE | re.ASCII,
)


async def failure_reasons(
    connection: CommandRunner, record_id: str, examined: int = EXAMINED
) -> Versioned[FailureReasons]:
    """The reasons of a record's newest failed details, of ``examined`` at most; none where it is unknown.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    keys = RecordKeys(connection.prefix, record_id)
    ((counter, written, failed),) = await connection.run([Command("HMGET", [keys.record], ("v", "w", "nF"))])
    found = _Groups({})
    if int(failed or 0):
        facets, clusters = await _failed_pairs(connection, keys)
        found = _Groups(clusters)
        bounds = Bounds(wanted=examined + MARGIN * isqrt(examined), most_heads=MOST_HEADS)
        async with aclosing(ordered_details(connection, record_id, _FAILED, bounds, facets)) as steps:
            async for rows in steps:
                found.add(rows[: examined - found.examined])
                if found.examined == examined:
                    break
    # More may have failed meanwhile.
    reasons = FailureReasons(max(int(failed or 0), found.examined), found.examined, found.reasons())
    return Versioned(record_version(counter, written), reasons)


async def _failed_pairs(connection: CommandRunner, keys: RecordKeys) -> tuple[Facets, dict[bytes, bytes]]:
    """The pairs that have failed details, and by head the cluster of each, escaped."""
    letter = STATUS_LETTERS[FAILED]
    counted = await read_pairs(connection, keys, _FAILED, (letter,))
    failed: dict[bytes, int] = {}
    clusters: dict[bytes, bytes] = {}
    for (cluster, _, _, pair), (number,) in counted.pairs:
        if number:
            failed[pair + letter], clusters[pair + letter] = number, cluster
    return Facets(counted.version, counted.details, failed, None, frozenset()), clusters


class _Group:
    """The details of one reason: the newest, how many, the pairs and, of pairs that are not known, the clusters."""

    __slots__ = ("clusters", "detail_id", "failed", "heads")

    def __init__(self, detail_id: bytes) -> None:
        self.detail_id = detail_id
        self.failed = 0
        self.heads: set[bytes] = set()
        self.clusters: set[str] = set()


class _Groups:
    """Details that failed, newest first, by reason; ``cluster_of`` has the escaped clusters of heads."""

    def __init__(self, cluster_of: Mapping[bytes, bytes]) -> None:
        self.examined = 0
        self._groups: dict[str | None, _Group] = {}
        self._cluster_of = cluster_of

    def add(self, rows: Sequence[StoredDetail]) -> None:
        """Examine the next ones."""
        self.examined += len(rows)
        for row in rows:
            masked = _masked(reason_of(row.value))
            group = self._groups.get(masked) or self._groups.setdefault(masked, _Group(row.detail_id))
            group.failed += 1
            head = head_of(row.value)
            group.heads.add(head)
            # A pair may be newer than what is known.
            if head not in self._cluster_of:
                group.clusters.add(row.read().remote_cluster or "")

    def reasons(self) -> list[FailureReason]:
        """The groups in their order."""
        groups = sorted(self._groups.items(), key=lambda of: (-of[1].failed, of[0] is None, of[0] or ""))
        return [
            FailureReason(reason, group.failed, sorted(self._clusters(group)), group.detail_id.decode())
            for reason, group in groups
        ]

    def _clusters(self, group: _Group) -> set[str]:
        known = {self._cluster_of[head] for head in group.heads if head in self._cluster_of}
        return group.clusters.union(map(unescape, known))


@lru_cache(_KEPT_REASONS)
def _masked(reason: bytes) -> str | None:
    """The masked text of a reason that is stored as JSON; None where there is none."""
    return mask(orjson.loads(reason)) if reason else None


def mask(reason: str) -> str:
    """``reason`` with ``<n>`` for each number and hash: what differs from one failure to the next of its kind."""
    return _VARIES.sub(MASK, reason)
