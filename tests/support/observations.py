"""Observations of an installation in which nothing is wrong, of which tests change a part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from replog.store.client.server_state import ServerState
from replog_collector.topics.descriptions import (
    GroupDescription,
    Member,
    PartitionOffsets,
    Replicas,
    TopicDescription,
    TopicSettings,
)
from replog_repair.diagnosis.lag import GroupLag, owners, partition_lag
from replog_repair.diagnosis.observations import ApiObservation, KafkaObservation, Observations, StoreObservation

NOW_MS = 1_700_000_000_000
EVENTS, LETTERS, OUTCOMES = "t", "t.dlq", "t.outcomes"
DAY_MS = 86_400_000

STATE = ServerState(
    version="7.0.15",
    role="master",
    append_only=True,
    persistence_failed=False,
    eviction="noeviction",
    used_bytes=10,
    limit_bytes=0,
    machine_bytes=100,
    time_us=NOW_MS * 1000,
)
MEMBERS = (Member("c1", "10.0.0.1", (0, 1)), Member("c2", "10.0.0.2", (2, 3)))
GROUP = GroupDescription("Stable", MEMBERS)


def topic(name: str = EVENTS, partitions: int = 4, number: int = 3, in_step: int = 3, *, led: bool = True) -> Any:
    """A topic, all of whose partitions have these copies."""
    return TopicDescription(name, dict.fromkeys(range(partitions), Replicas(number, in_step, led=led)))


def settings(**changed: Any) -> TopicSettings:
    """Settings of the topic of events as docs/operations.md has them."""
    usual = TopicSettings(
        max_message_bytes=1_114_112,
        min_insync_replicas=2,
        retention_ms=30 * DAY_MS,
        retention_bytes=-1,
        cleanup_policy="delete",
        timestamp_type="CreateTime",
    )
    return replace(usual, **changed)


def group_lag(
    offsets: PartitionOffsets = PartitionOffsets(0, 10, 10),  # noqa: B008 - immutable
    checkpoints: Any = None,
    description: Any = GROUP,
    **changed: Any,
) -> GroupLag:
    """The lag of a group whose partitions all have these offsets; ``changed`` are fields of each partition."""
    known = dict.fromkeys(range(4), offsets.committed) if checkpoints is None else checkpoints
    owned = owners(description)
    partitions = (partition_lag(number, offsets, known, owned.get(number)) for number in range(4))
    return GroupLag("g", EVENTS, description, known, tuple(replace(one, **changed) for one in partitions))


def kafka(**changed: Any) -> KafkaObservation:
    """Brokers with which nothing is wrong."""
    usual = KafkaObservation(
        servers="k:9092",
        event_topic=EVENTS,
        letter_topic=LETTERS,
        outcomes_topic=None,
        topics={EVENTS: topic(), LETTERS: topic(LETTERS, 1)},
        settings={EVENTS: settings(), LETTERS: settings(max_message_bytes=2_097_152, retention_ms=-1)},
        lag=group_lag(),
        newest_ms=NOW_MS - 1000,
    )
    return replace(usual, **changed)


def store(**changed: Any) -> StoreObservation:
    """A store with which nothing is wrong."""
    usual = StoreObservation(
        url="redis://r",
        prefix="replog",
        states=[STATE],
        settings={"save": [""], "appendfsync": ["everysec"]},
        latencies_s=[0.0001, 0.0002, 0.0003],
        clocks_ahead_s=[0.1],
        missing_rights=[],
        layouts=["1 0.1.0"],
        has_data=True,
    )
    return replace(usual, **changed)


def api(**changed: Any) -> ApiObservation:
    """A query service with which nothing is wrong."""
    return replace(ApiObservation("http://a", 200, "ok", "0.1.0", 0.2), **changed)


def observations(**changed: Any) -> Observations:
    """An installation in which nothing is wrong."""
    usual = Observations(
        version="0.1.0",
        retention_days=30,
        kafka=kafka(),
        store=store(),
        checkpoints=dict.fromkeys(range(4), 10),
        api=api(),
        notices=[],
        now_ms=NOW_MS,
    )
    return replace(usual, **changed)
