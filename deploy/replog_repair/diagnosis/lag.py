"""The lag of the collectors: what of the topic is not in the store yet, by partition. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replog_repair.diagnosis.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replog_collector.topics.descriptions import GroupDescription, Member, PartitionOffsets


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition. Offsets name the *next* message."""

    number: int
    #: The member that has it; None where no member has it, or the broker does not tell.
    owner: Member | None
    #: Offset of the first message that Kafka has.
    first: int
    #: Last stable offset: the end of what can be read.
    end: int
    #: Offset that the group has committed.
    committed: int | None
    #: Checkpoint: the store has everything before it. None where it has no checkpoint, or cannot be asked.
    position: int | None
    #: Offset that a collector would go on from: what is before it is applied, or gone.
    next_offset: int
    #: Messages that the topic's retention deleted before they were applied.
    lost: int
    #: Time of publishing of the oldest message that is not applied, in ms since 1970; None where there is none.
    oldest_ms: int | None = None

    @property
    def lag(self) -> int:
        """Offsets that are not applied yet. Not every offset holds an event."""
        return self.end - self.next_offset

    def age_s(self, now_ms: int) -> float | None:
        """Seconds since the oldest message that is not applied was published."""
        return None if self.oldest_ms is None else max(0, now_ms - self.oldest_ms) / 1000


@dataclass(frozen=True, slots=True)
class GroupLag:
    """A group's lag on a topic, and what could not be determined."""

    group: str
    topic: str
    description: GroupDescription | Unknown
    checkpoints: Mapping[int, int | None] | Unknown
    partitions: tuple[PartitionLag, ...]

    @property
    def state(self) -> str | None:
        """The group's state as Kafka names it; None where the broker does not tell."""
        return None if isinstance(self.description, Unknown) else self.description.state

    @property
    def members(self) -> tuple[Member, ...] | None:
        """The group's members; None where the broker does not tell."""
        return None if isinstance(self.description, Unknown) else self.description.members

    @property
    def notes(self) -> list[str]:
        """Notes on what could not be determined, and why."""
        notes = []
        if isinstance(self.description, Unknown):
            notes.append(f"the members could not be determined: {self.description.message}")
        if isinstance(self.checkpoints, Unknown):
            notes.append(
                f"positions could not be determined, lag counts from the committed offsets: {self.checkpoints.message}"
            )
        return notes

    @property
    def total(self) -> int:
        """The lag of all partitions."""
        return sum(partition.lag for partition in self.partitions)

    @property
    def lost(self) -> int:
        """Messages that were deleted before they were applied."""
        return sum(partition.lost for partition in self.partitions)

    @property
    def committed(self) -> bool:
        """Whether the group has committed an offset of any partition."""
        return any(partition.committed is not None for partition in self.partitions)

    def age_s(self, now_ms: int) -> float | None:
        """Seconds since the oldest message that is not applied was published; None where there is none."""
        ages = [age for partition in self.partitions if (age := partition.age_s(now_ms)) is not None]
        return max(ages, default=None)


def partition_lag(
    number: int,
    offsets: PartitionOffsets,
    checkpoints: Mapping[int, int | None] | Unknown,
    owner: Member | None = None,
) -> PartitionLag:
    """The lag of one partition.

    A collector goes on from the lower of the committed offset and the checkpoint, and begins with the first message if
    either is missing. While the store cannot be asked, the committed offset alone counts.
    """
    known = not isinstance(checkpoints, Unknown)
    position = checkpoints.get(number) if not isinstance(checkpoints, Unknown) else None
    reached = _reached(offsets.committed, position) if known else offsets.committed
    # An offset beyond the end is of an earlier topic of this name, which is read from its beginning.
    valid = reached is not None and reached <= offsets.stable
    next_offset = max(reached, offsets.first) if reached is not None and valid else offsets.first
    lost = max(0, offsets.first - reached) if reached is not None and valid else 0
    return PartitionLag(
        number,
        owner,
        first=offsets.first,
        end=offsets.stable,
        committed=offsets.committed,
        position=position,
        next_offset=min(next_offset, offsets.stable),
        lost=lost,
    )


def owners(description: GroupDescription | Unknown) -> dict[int, Member]:
    """The members by the partitions that they have."""
    if isinstance(description, Unknown):
        return {}
    return {number: member for member in description.members for number in member.partitions}


def _reached(committed: int | None, position: int | None) -> int | None:
    return None if committed is None or position is None else min(committed, position)
