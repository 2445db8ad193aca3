"""Positions of a member in its partitions: polled, applied, and still to be committed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog_collector.kafka.source import PolledSpan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Positions:
    """Offsets by partition, of partitions whose start is known. ``epochs`` gives a number for each start."""

    def __init__(self, epochs: Iterator[int]) -> None:
        self._new_epochs = epochs
        self.epochs: dict[int, int] = {}
        #: Everything before this offset is in the store or dead-lettered.
        self.applied: dict[int, int] = {}
        #: Everything before this offset was polled.
        self._polled: dict[int, int] = {}
        #: Offsets that are still to be committed.
        self.uncommitted: dict[int, int] = {}
        #: The committed offset; where none is, the first one that was to be read.
        self.committed: dict[int, int] = {}

    def begin(self, partition: int, offset: int, *, committed: int | None) -> None:
        """Start at ``offset``. Where another offset is ``committed``, this one is committed too."""
        self.epochs[partition] = next(self._new_epochs)
        self.applied[partition] = self._polled[partition] = offset
        self.uncommitted.pop(partition, None)
        self.committed[partition] = offset if committed is None else committed
        if committed is not None and committed != offset:
            self.uncommitted[partition] = offset

    def forget(self, partitions: Iterable[int]) -> None:
        """Know nothing of these partitions, until they begin again."""
        for partition in partitions:
            for numbers in (self.epochs, self.applied, self._polled, self.uncommitted, self.committed):
                numbers.pop(partition, None)

    def poll(self, ends: Mapping[int, int]) -> dict[int, PolledSpan]:
        """Note that everything before ``ends`` was polled; returns, by partition, the range that is new."""
        spans = {
            number: PolledSpan(self._polled[number], end, self.epochs[number])
            for number, end in ends.items()
            if end > self._polled.get(number, end)
        }
        self._polled |= {number: span.end for number, span in spans.items()}
        return spans

    def apply(self, offsets: Mapping[int, int]) -> None:
        """Note that everything before ``offsets`` is applied, and to be committed. Never goes back."""
        for partition, offset in offsets.items():
            if offset > self.applied.get(partition, offset):
                self.applied[partition] = self.uncommitted[partition] = offset

    def commit(self, sent: Mapping[int, int]) -> None:
        """Note that ``sent`` is committed; others may have been added meanwhile."""
        self.committed |= sent
        self.uncommitted = {number: at for number, at in self.uncommitted.items() if sent.get(number) != at}
