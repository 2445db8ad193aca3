"""Reasons for which the details of a record failed, grouped by their text without numbers and hashes.

The newest :data:`EXAMINED` failed details are examined: the index by status has them in one range. How many have failed
at all is known without. Some reads are under way at once: Redis finds the next values while those before are grouped.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from replog.cancellation import finish_in_order
from replog.fields import DETAIL
from replog.records import facts_decoder
from replog.statuses import FAILED, STATUS_LETTERS
from replog.store.client.command import Command
from replog.store.format.detail_codec import TIME_BYTES, facts_in, head_of, reason_and_facts_of
from replog.store.format.keys import RecordKeys
from replog.store.read.bounded_reads import ordered_values
from replog.store.read.newest_first import TOP
from replog.store.read.results import FailureReason, FailureReasons, Versioned
from replog.store.read.versions import record_version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from replog.store.client.pipelining import CommandRunner

#: Failed details that are examined at most.
EXAMINED = 5000
#: Details whose values are read together, and such reads under way beside the one whose values are awaited.
IDS_A_READ, READS_AHEAD = 1000, 2
#: What stands for a number or a hash.
MASK = "<n>"
#: Reasons kept masked, more than one answer examines, as dashboards request them again; and the bytes of the longest.
_KEPT_REASONS, _LONGEST_KEPT = 8192, 512

_FAILED = STATUS_LETTERS[FAILED]
_placed_facts = facts_decoder([field for field in DETAIL if field.name == "remote_cluster"], Any)
_HEX = "[0-9A-Fa-f]"
#: A UUID; hexadecimal digits behind 0x; six and more of them, with a decimal one, that are a word of their own; then
#: decimal digits. Written so that it begins with the digits that all of these begin with: the search skips whatever
#: else there is, and looks behind a digit only once it has found one. Classes name both cases, for with IGNORECASE it
#: would not skip.
_VARIES = re.compile(
    rf"{_HEX}(?:(?<![0-9A-Za-z].)"
    rf"(?:{_HEX}{{7}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}|(?<=0)[Xx]{_HEX}+|(?:(?<=[0-9])|(?=[A-Fa-f]*[0-9])){_HEX}{{5,}})"
    r"(?![0-9A-Za-z])"
    r"|(?<=[0-9])[0-9]*)",
    re.DOTALL,
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
    found = _Groups()
    if int(failed or 0):
        await _examine(connection, keys, examined, found)
    # More may have failed meanwhile.
    reasons = FailureReasons(max(int(failed or 0), found.examined), found.examined, found.reasons())
    return Versioned(record_version(counter, written), reasons)


async def _examine(connection: CommandRunner, keys: RecordKeys, most: int, found: _Groups) -> None:
    """Add the newest failed details of a record, ``most`` at most, to ``found``."""
    reads = (
        _values_of(connection, keys.details, ids) async for ids in _newest_failed(connection, keys.by_status, most)
    )
    async with aclosing(finish_in_order(reads, ahead=READS_AHEAD, name="read of reasons")) as steps:
        async for rows in steps:
            found.add(rows)


async def _newest_failed(connection: CommandRunner, by_status: bytes, most: int) -> AsyncIterator[list[bytes]]:
    """The ids of the newest failed details, ``most`` at most, some at a time."""
    before, left = b"(" + _FAILED + TOP, most
    while left:
        step = min(left, IDS_A_READ)
        bounds = [before, b"[" + _FAILED, "LIMIT", 0, step]
        (entries,) = await connection.run([Command("ZREVRANGEBYLEX", [by_status], bounds)])
        if entries:
            yield [entry[1 + TIME_BYTES :] for entry in entries]
        if len(entries) < step:
            return
        before, left = b"(" + entries[-1], left - step


async def _values_of(connection: CommandRunner, details: bytes, ids: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """Those of the details that are there, with their values, in their order."""
    return [row async for rows in ordered_values(connection, details, ids) for row in rows]


class _Group:
    """The details of one reason: the newest, how many, and their clusters."""

    __slots__ = ("clusters", "detail_id", "failed")

    def __init__(self, detail_id: bytes) -> None:
        self.detail_id = detail_id
        self.failed = 0
        self.clusters: set[str] = set()


class _Groups:
    """Details that failed, newest first, by reason."""

    def __init__(self) -> None:
        self.examined = 0
        self._groups: dict[str | None, _Group] = {}
        #: By pair and status. All details of one pair have the same cluster.
        self._clusters: dict[bytes, str] = {}

    def add(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Examine those of the next ones that have failed and not begun again since: ids and values."""
        groups, clusters = self._groups, self._clusters
        for detail_id, value in rows:
            head = head_of(value)
            if not head.endswith(_FAILED):
                continue
            reason, facts = reason_and_facts_of(value)
            masked = _kept_masked(reason) if len(reason) <= _LONGEST_KEPT else _masked(reason)
            group = groups.get(masked)
            if group is None:
                group = groups[masked] = _Group(detail_id)
            group.failed += 1
            cluster = clusters.get(head)
            group.clusters.add(self._cluster_of(head, facts) if cluster is None else cluster)
            self.examined += 1

    def reasons(self) -> list[FailureReason]:
        """The groups in their order."""
        groups = sorted(self._groups.items(), key=lambda of: (-of[1].failed, of[0] is None, of[0] or ""))
        return [
            FailureReason(reason, group.failed, sorted(group.clusters), group.detail_id.decode())
            for reason, group in groups
        ]

    def _cluster_of(self, head: bytes, facts: bytes) -> str:
        cluster = self._clusters[head] = _placed_facts(facts_in(facts)).remote_cluster or ""
        return cluster


def _masked(reason: bytes) -> str | None:
    """The masked text of a reason that is stored as JSON; None where there is none."""
    return mask(orjson.loads(reason)) if reason else None


_kept_masked = lru_cache(_KEPT_REASONS)(_masked)


def mask(reason: str) -> str:
    """``reason`` with ``<n>`` for each number and hash: what differs from one failure to the next of its kind."""
    return _VARIES.sub(MASK, reason)
