"""Descriptions of topics and consumer groups by a broker, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Replicas(NamedTuple):
    """The copies of one partition: how many there are to be, how many are in step, and whether one leads."""

    number: int
    in_step: int
    led: bool


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """A topic: the copies of its partitions, and those of its settings that the broker tells."""

    name: str
    partitions: Mapping[int, Replicas]


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """Settings of a topic that matter here. None stands for what the broker does not tell."""

    max_message_bytes: int | None
    min_insync_replicas: int | None
    #: Milliseconds and bytes that it keeps; -1 for any.
    retention_ms: int | None
    retention_bytes: int | None
    cleanup_policy: str | None
    #: ``CreateTime``, or ``LogAppendTime``: the broker's clock.
    timestamp_type: str | None


def settings_of(entries: Mapping[str, str | None]) -> TopicSettings:
    """The settings in the entries of a DescribeConfigs answer."""
    return TopicSettings(
        max_message_bytes=_number(entries, "max.message.bytes"),
        min_insync_replicas=_number(entries, "min.insync.replicas"),
        retention_ms=_number(entries, "retention.ms"),
        retention_bytes=_number(entries, "retention.bytes"),
        cleanup_policy=entries.get("cleanup.policy"),
        timestamp_type=entries.get("message.timestamp.type"),
    )


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a consumer group, with its assigned partitions of the topic that was asked about."""

    client_id: str
    host: str
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """A consumer group: its state as Kafka names it (``Dead``: there is none), and its members."""

    state: str
    members: tuple[Member, ...]

    @property
    def exists(self) -> bool:
        """Whether the broker knows it."""
        return self.state != "Dead"


class PartitionOffsets(NamedTuple):
    """Offsets of a partition: of its first message, its last stable offset, and what the group has committed."""

    first: int
    stable: int
    committed: int | None


def _number(entries: Mapping[str, str | None], name: str) -> int | None:
    text = entries.get(name)
    return int(text) if text and text.removeprefix("-").isdigit() else None
