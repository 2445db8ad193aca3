"""All details that meet a filter, in memory: any page of them without reading an index again. Pure."""

from __future__ import annotations

from heapq import nlargest

from replog.store.format.detail_codec import TIME_BYTES
from replog.store.format.short_ids import ids_of

#: Up to so many newest are found without sorting all.
_FEW = 1000


class Matches:
    """The details with these *tails*: time and short id, as the entries of indexes have them, in any order.

    One takes some 60 bytes.
    """

    def __init__(self, tails: list[bytes]) -> None:
        self._tails = tails
        self._is_sorted = False

    def __len__(self) -> int:
        return len(self._tails)

    def sort(self) -> None:
        """Make all pages cheap."""
        if not self._is_sorted:
            self._tails.sort(reverse=True)
            self._is_sorted = True

    def page(self, offset: int, limit: int) -> list[bytes]:
        """The ids of ``limit`` details from ``offset`` on, newest first."""
        end = offset + limit
        if not self._is_sorted and end <= _FEW < len(self._tails):
            return ids_of_tails(nlargest(end, self._tails)[offset:])
        self.sort()
        return ids_of_tails(self._tails[offset:end])


def ids_of_tails(tails: list[bytes]) -> list[bytes]:
    """The ids in ``tails``, in their order."""
    return ids_of([tail[TIME_BYTES:] for tail in tails])
