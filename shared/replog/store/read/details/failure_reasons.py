"""Reasons for which the details of a record failed, grouped by their text without numbers and hashes.

The newest :data:`EXAMINED` failed details are examined: the index by status has them in one range. How many have failed
at all is known without.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from replog.fields import DETAIL
from replog.records import facts_decoder
from replog.statuses import FAILED
from replog.store.client.command import Command
from replog.store.format.detail_codec import head_of, reason_of, unpack_contents
from replog.store.format.keys import RecordKeys
from replog.store.read.details.ordered_details import ordered_details
from replog.store.read.filters import DetailFilter
from replog.store.read.results import FailureReason, FailureReasons, Versioned
from replog.store.read.versions import record_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.rows import StoredDetail

#: Failed details that are examined at most.
EXAMINED = 5000
#: What stands for a number or a hash.
MASK = "<n>"
#: Reasons kept masked: of many details they are the same.
_KEPT_REASONS = 2048

_FAILED = DetailFilter(status=FAILED)
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
        async with aclosing(ordered_details(connection, record_id, _FAILED)) as steps:
            async for rows in steps:
                found.add(rows[: examined - found.examined])
                if found.examined == examined:
                    break
    # More may have failed meanwhile.
    reasons = FailureReasons(max(int(failed or 0), found.examined), found.examined, found.reasons())
    return Versioned(record_version(counter, written), reasons)


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

    def add(self, rows: Sequence[StoredDetail]) -> None:
        """Examine the next ones."""
        self.examined += len(rows)
        for row in rows:
            masked = _masked(reason_of(row.value))
            group = self._groups.get(masked) or self._groups.setdefault(masked, _Group(row.detail_id))
            group.failed += 1
            group.clusters.add(self._cluster_of(row.value))

    def reasons(self) -> list[FailureReason]:
        """The groups in their order."""
        groups = sorted(self._groups.items(), key=lambda of: (-of[1].failed, of[0] is None, of[0] or ""))
        return [
            FailureReason(reason, group.failed, sorted(group.clusters), group.detail_id.decode())
            for reason, group in groups
        ]

    def _cluster_of(self, value: bytes) -> str:
        head = head_of(value)
        if head not in self._clusters:
            self._clusters[head] = _placed_facts(unpack_contents(value)[1]).remote_cluster or ""
        return self._clusters[head]


@lru_cache(_KEPT_REASONS)
def _masked(reason: bytes) -> str | None:
    """The masked text of a reason that is stored as JSON; None where there is none."""
    return mask(orjson.loads(reason)) if reason else None


def mask(reason: str) -> str:
    """``reason`` with ``<n>`` for each number and hash: what differs from one failure to the next of its kind."""
    return _VARIES.sub(MASK, reason)
