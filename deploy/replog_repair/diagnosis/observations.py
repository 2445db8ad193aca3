"""Observations that a diagnosis stands on: answers of the servers, and what could not be determined. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replog.environment import Notice
    from replog.store.client.server_state import ServerState
    from replog_collector.topics.descriptions import TopicDescription, TopicSettings
    from replog_repair.diagnosis.lag import GroupLag
    from replog_repair.diagnosis.unknown import Unknown

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KafkaObservation:
    """The brokers: the topics by name, those that exist; their settings; and the group's lag."""

    servers: str
    event_topic: str
    letter_topic: str
    #: None where no outcomes are published.
    outcomes_topic: str | None
    topics: Mapping[str, TopicDescription]
    settings: Mapping[str, TopicSettings | Unknown]
    lag: GroupLag | Unknown
    #: Time of publishing of the newest message, in ms since 1970; None where there is none.
    newest_ms: int | None


@dataclass(frozen=True, slots=True)
class StoreObservation:
    """Redis, or each master of a cluster, and the store under the prefix."""

    url: str
    prefix: str
    states: Sequence[ServerState]
    #: Settings by name, at each server; None where it does not tell.
    settings: Mapping[str, Sequence[str | None]]
    #: Seconds that each of some small calls took.
    latencies_s: Sequence[float]
    #: Seconds that each server's clock is ahead of this machine's; None where it does not tell the time.
    clocks_ahead_s: Sequence[float | None]
    #: Rules that the user's access list lacks.
    missing_rights: Sequence[str] | Unknown
    #: Marks of the layout, as stored, each once; and whether the prefix holds records or tasks.
    layouts: Sequence[str] | Unknown
    has_data: bool | Unknown


@dataclass(frozen=True, slots=True)
class ApiObservation:
    """The query service."""

    url: str
    #: Status and first line of ``/readyz``.
    ready_status: int
    ready_text: str
    version: str | Unknown
    #: Seconds that its clock is ahead of this machine's; None where it does not tell. Its header has whole seconds.
    clock_ahead_s: float | None


@dataclass(frozen=True, slots=True)
class Observations:
    """Everything that a diagnosis looks at."""

    #: Version of this command.
    version: str
    retention_days: float
    kafka: KafkaObservation | Unknown
    store: StoreObservation | Unknown
    checkpoints: Mapping[int, int | None] | Unknown
    api: ApiObservation | Unknown
    notices: Sequence[Notice]
    now_ms: int
