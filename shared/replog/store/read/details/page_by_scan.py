"""A page of details of which the number is known: those that meet a filter, read in order of time until it is full.

The number says how far from the newest the page probably is. Where reading so far takes longer than reading the entries
of all matches from the index by name, no scan is begun; one that takes as long is given up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from replog.statuses import letters_of
from replog.store.read.newest_first import details_of

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.keys import RecordKeys
    from replog.store.read.filters import DetailFilter

#: Details that are read at once beyond a quarter more than are expected to have the page.
_SPARE = 16


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """Limits and costs of a scan."""

    #: Entries of the by-name index that are read in the time of one detail's scanning.
    detail_costs: float = 6
    #: Details read at once at most.
    step: int = 400


SCAN_LIMITS = ScanLimits()


class ScannedPage(NamedTuple):
    """Ids and values of the details on the page, newest first, and the versions that the record had meanwhile."""

    rows: list[tuple[bytes, bytes]]
    versions: set[bytes | None]


class ScannedDetails:
    """The details of one record that meet ``flt``: so many ``matches`` among the ``details`` of its status, or all."""

    def __init__(
        self,
        connection: CommandRunner,
        keys: RecordKeys,
        flt: DetailFilter,
        limits: ScanLimits = SCAN_LIMITS,
        *,
        matches: int,
        details: int,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._filter = flt
        self._letters = letters_of(flt.status)
        self._limits = limits
        self._matches = matches
        self._details = details

    async def page(self, offset: int, limit: int) -> ScannedPage | None:
        """The ``limit`` matches from ``offset`` on; None where the entries of all matches are read sooner."""
        # A page near the newest is met soon; the fewer match, the later.
        expected = (offset + limit) * self._details // self._matches
        most = int(self._matches // self._limits.detail_costs)
        if expected >= most:
            return None
        step = min(self._limits.step, expected + expected // 4 + _SPARE)
        return await self._scan(offset, min(offset + limit, self._matches), most, step)

    async def _scan(self, begin: int, end: int, most: int, step: int) -> ScannedPage | None:
        """Matches from one number up to another; None where the newest ``most`` details do not have them.

        ``step`` of these are read at once.
        """
        page, versions, seen, left = list[tuple[bytes, bytes]](), set[bytes | None](), 0, most
        async for rows, version in details_of(self._connection, self._keys, self._letters, step):
            matching = self._filter.matching(rows[:left])
            # Nothing else is kept: values may be wide.
            page += matching[max(0, begin - seen) : max(0, end - seen)]
            versions.add(version)
            seen += len(matching)
            if seen >= end:
                break
            left -= len(rows)
            if left < 0:
                return None
        return ScannedPage(page, versions)
