"""The partitions that the group has assigned to a member, and what the member knows of them. Pure."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from replog_collector.kafka.offsets.positions import Positions
from replog_collector.kafka.source import Standing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replog_collector.kafka.source import TopicSnapshot


class Assignment:
    """Partitions of one topic that are assigned to a member, its positions in them, and their ends.

    A rebalance revokes all partitions, and everything that is known of them with them, before it assigns others.
    """

    def __init__(self) -> None:
        #: Partitions assigned to this member; None before the first assignment and during a rebalance.
        self.partitions: frozenset[int] | None = None
        #: Numbers for the starts of partitions, each used once.
        self._epochs: Iterator[int] = count()
        #: Replaced in every rebalance: an answer from before it says nothing about partitions after it.
        self.positions = Positions(self._epochs)
        #: By partition: its last stable offset, the end of what can be read.
        self._ends: dict[int, int] = {}
        #: The last snapshot of the topic; None before the first.
        self.snapshot: TopicSnapshot | None = None
        #: Time of the event loop from which on the next snapshot is due.
        self.snapshot_due_s = 0.0

    def assign(self, partitions: frozenset[int]) -> None:
        """Have ``partitions`` from now on; a snapshot is due at once."""
        self.partitions = partitions
        self.snapshot_due_s = 0.0

    def revoke(self) -> None:
        """Have no partitions, and know nothing of any; a snapshot is due at once."""
        self.partitions, self.positions = None, Positions(self._epochs)
        self._ends = {}
        self.snapshot = None
        self.snapshot_due_s = 0.0

    def note_snapshot(self, ends: dict[int, int], snapshot: TopicSnapshot | None) -> None:
        """Note the last stable offsets of the partitions, and the snapshot that was taken with them."""
        self._ends = ends
        self.snapshot = snapshot

    @property
    def numbers(self) -> set[int]:
        """Numbers of the assigned partitions; none during a rebalance."""
        return set(self.partitions or ())

    @property
    def applied(self) -> dict[int, int]:
        """The offset of the next message to apply, by assigned partition whose start is known."""
        return {number: self.positions.applied[number] for number in self.numbers & self.positions.applied.keys()}

    @property
    def epochs(self) -> dict[int, int]:
        """The epochs of the partitions in :attr:`applied`."""
        return {number: self.positions.epochs[number] for number in self.applied}

    @property
    def uncommitted(self) -> dict[int, int]:
        """Offsets of assigned partitions that are still to be committed."""
        uncommitted = self.positions.uncommitted
        return {number: uncommitted[number] for number in uncommitted.keys() & self.numbers}

    def standings(self) -> dict[int, Standing]:
        """Position and end of assigned partitions of which both are known."""
        return {
            number: Standing(position, max(self._ends[number], position), self.positions.committed[number])
            for number, position in self.applied.items()
            if number in self._ends
        }
