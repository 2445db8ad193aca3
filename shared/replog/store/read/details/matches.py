"""Details that meet a filter, in memory: pages of them without reading an index again. Pure."""

from __future__ import annotations

from heapq import nlargest

from replog.store.format.detail_codec import TIME_BYTES
from replog.store.format.short_ids import ids_of

#: Up to so many newest are found without sorting all.
_FEW = 1000


class Matches:
    """The details with these *tails*: time and short id, as the entries of indexes have them, in any order.

    They are all that match or, of ``total``, all that have so many newer ones ``before`` them. One takes some 60 bytes.
    """

    def __init__(self, tails: list[bytes], *, before: int = 0, total: int | None = None) -> None:
        self.total = len(tails) if total is None else total
        self._tails = tails
        self._before = before
        self._is_sorted = False

    def __len__(self) -> int:
        return len(self._tails)

    def has_page(self, offset: int, limit: int) -> bool:
        """Whether this page is among them."""
        end = min(offset + limit, self.total)
        return end <= offset or self._before <= offset <= end <= self._before + len(self._tails)

    def sort(self) -> None:
        """Make all pages cheap."""
        if not self._is_sorted:
            self._tails.sort(reverse=True)
            self._is_sorted = True

    def page(self, offset: int, limit: int) -> list[bytes]:
        """The ids of ``limit`` matches from ``offset`` on, newest first; :meth:`has_page` says if they are here."""
        begin, end = offset - self._before, offset - self._before + limit
        if offset >= self.total:
            return []
        if not self._is_sorted and end <= _FEW < len(self._tails):
            return ids_of_tails(nlargest(end, self._tails)[begin:])
        self.sort()
        return ids_of_tails(self._tails[begin:end])


def ids_of_tails(tails: list[bytes]) -> list[bytes]:
    """The ids in ``tails``, in their order."""
    return ids_of([tail[TIME_BYTES:] for tail in tails])
