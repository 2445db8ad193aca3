"""A mapping of bounded size that drops the entry that was used longest ago."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


def _one(_: object) -> int:
    return 1


class LruCache(Generic[K, V]):
    """At most ``most`` entries, which its owner adds; none where that is 0. No value may be None.

    Where values have a ``weight``, ``most`` is that of all together. That of one value must not change.
    """

    __slots__ = ("_entries", "_most", "_weigh", "_weight")

    def __init__(self, most: int, *, weight: Callable[[V], int] = _one) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._most = most
        self._weigh = weight
        self._weight = 0

    def __contains__(self, key: K) -> bool:
        """Whether there is such an entry; does not count as a use of it."""
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value of an entry; None where there is none."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Add an entry, or replace it."""
        self.drop(key)
        self._entries[key] = value
        self._weight += self._weigh(value)
        while self._weight > self._most:
            self._weight -= self._weigh(self._entries.popitem(last=False)[1])

    def drop(self, key: K) -> None:
        """Remove an entry, if there is one."""
        value = self._entries.pop(key, None)
        if value is not None:
            self._weight -= self._weigh(value)
