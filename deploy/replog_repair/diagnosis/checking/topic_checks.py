"""Verdicts about the topics: whether they exist, their partitions, copies and settings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.settings import variable
from replog_collector.topics.requirements import (
    EVENT_BYTES,
    LEAST_LETTER_BYTES,
    LEAST_OUTCOME_BYTES,
    OUTCOME_BYTES,
    letter_bytes,
    too_small_for_events,
    too_small_for_letters,
    too_small_for_outcomes,
)
from replog_repair.diagnosis.checking.checks import KAFKA
from replog_repair.diagnosis.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replog_collector.topics.descriptions import TopicDescription, TopicSettings
    from replog_repair.diagnosis.checking.checks import Check
    from replog_repair.diagnosis.observations import KafkaObservation

#: Copies from which the loss of one broker loses nothing.
SAFE_COPIES = 2
#: Copies of a message that are written before it is acknowledged, in a cluster of three brokers or more.
SAFE_IN_SYNC = 2
_DAY_MS = 86_400_000
_ANY = -1
_SEE_TOPICS = "see docs/operations.md, Topics"
_GRANT = "grant DESCRIBE_CONFIGS on the topics to this user, or look at the settings yourself"


def topic_checks(kafka: KafkaObservation, retention_days: float) -> Iterator[Check]:
    """All checks of the topics; of that of outcomes, where collectors publish them."""
    roles = {"events": kafka.event_topic, "dead-letters": kafka.letter_topic, "outcomes": kafka.outcomes_topic}
    for role, name in roles.items():
        if name is not None:
            yield from _topic_checks(role, name, kafka)
    yield from _event_topic_checks(kafka, retention_days)
    yield from _letter_topic_checks(kafka)
    yield from _outcomes_topic_checks(kafka)


def _topic_checks(role: str, name: str, kafka: KafkaObservation) -> Iterator[Check]:
    topic = kafka.topics.get(name)
    if topic is None:
        advice = f"create it: {_SEE_TOPICS}"
        if name == kafka.outcomes_topic:
            advice = f"create it, or unset {variable('kafka_outcomes_topic')}: see docs/outcomes.md, Switch it on"
        yield KAFKA.failed(f"{role}.topic", f"there is no topic {name}", advice)
        return
    yield _partition_check(role, topic)
    yield _copies_check(role, topic)
    settings = kafka.settings.get(name)
    if isinstance(settings, Unknown):
        yield KAFKA.untold(f"{role}.settings", settings, _GRANT)
    elif settings:
        yield from _in_sync_check(role, topic, settings)


def _partition_check(role: str, topic: TopicDescription) -> Check:
    name, count = f"{role}.topic", len(topic.partitions)
    unled = [number for number, replicas in topic.partitions.items() if not replicas.led]
    found = f"{topic.name} has {count} partition{'s' if count > 1 else ''}"
    if unled:
        return KAFKA.failed(
            name, f"{found}; {unled} have no leader", "start the brokers that have copies of these partitions"
        )
    if role == "events" and count == 1:
        advice = (
            "one collector does all the work; brokers create such topics by themselves. Add partitions: "
            f"kafka-topics.sh --alter --topic {topic.name} --partitions 16"
        )
        return KAFKA.warned(name, found, advice)
    return KAFKA.passed(name, found)


def _copies_check(role: str, topic: TopicDescription) -> Check:
    name = f"{role}.replication"
    copies = min((replicas.number for replicas in topic.partitions.values()), default=0)
    behind = [number for number, replicas in topic.partitions.items() if replicas.in_step < replicas.number]
    if behind:
        return KAFKA.warned(
            name, f"copies of the partitions {behind} of {topic.name} are not in step", "look at the brokers that lag"
        )
    if copies < SAFE_COPIES:
        advice = "a lost broker loses messages; raise the replication factor to 3 with kafka-reassign-partitions.sh"
        return KAFKA.warned(name, f"{topic.name} has one copy of each partition", advice)
    return KAFKA.passed(name, f"{topic.name} has {copies} copies of each partition, all in step")


def _in_sync_check(role: str, topic: TopicDescription, settings: TopicSettings) -> Iterator[Check]:
    name, least = f"{role}.min-insync", settings.min_insync_replicas
    if least is None or not topic.partitions:
        return
    copies = min(replicas.number for replicas in topic.partitions.values())
    in_step = min(replicas.in_step for replicas in topic.partitions.values())
    found = f"min.insync.replicas of {topic.name} is {least}, of {copies} copies"
    if in_step < least:
        advice = "the topic takes no message until more copies are in step: look at the brokers"
        yield KAFKA.failed(name, f"{found}, {in_step} in step", advice)
    elif copies > SAFE_IN_SYNC and least < SAFE_IN_SYNC:
        advice = "a message may be acknowledged with one copy, and lost with it; set min.insync.replicas=2"
        yield KAFKA.warned(name, found, advice)
    elif copies > 1 and least == copies:
        advice = "one broker that is down stops all publishing; set min.insync.replicas lower, or add copies"
        yield KAFKA.warned(name, found, advice)
    else:
        yield KAFKA.passed(name, found)


def _event_topic_checks(kafka: KafkaObservation, retention_days: float) -> Iterator[Check]:
    settings = kafka.settings.get(kafka.event_topic)
    if settings is None or isinstance(settings, Unknown):
        return
    name, limit = "events.message-size", settings.max_message_bytes
    found = f"max.message.bytes of {kafka.event_topic} is {limit}"
    if too_small_for_events(settings):
        advice = f"an event may have 1 MiB; set max.message.bytes={EVENT_BYTES} on the topic"
        yield KAFKA.warned(name, found, advice)
    elif limit is not None:
        yield KAFKA.passed(name, found)
    yield from _retention_check(kafka.event_topic, settings, retention_days)
    yield from _cleanup_check(kafka.event_topic, settings)


def _retention_check(topic: str, settings: TopicSettings, store_days: float) -> Iterator[Check]:
    name, kept_ms, kept_bytes = "events.retention", settings.retention_ms, settings.retention_bytes
    if kept_ms is None:
        return
    days = "for ever" if kept_ms == _ANY else f"{kept_ms / _DAY_MS:g} days"
    found = f"{topic} keeps events {days}, the store keeps records {store_days:g} days"
    if kept_bytes not in {None, _ANY}:
        advice = "events may be deleted before they are read, or while a rebuild needs them; set retention.bytes=-1"
        yield KAFKA.warned(name, f"{topic} keeps {kept_bytes} bytes of each partition at most", advice)
    elif kept_ms != _ANY and kept_ms < store_days * _DAY_MS:
        advice = (
            "a store that is rebuilt from the topic lacks what is older; "
            f"set retention.ms={round(store_days * _DAY_MS)} on the topic"
        )
        yield KAFKA.warned(name, found, advice)
    else:
        yield KAFKA.passed(name, found)


def _cleanup_check(topic: str, settings: TopicSettings) -> Iterator[Check]:
    policy = settings.cleanup_policy
    if policy is None:
        return
    if "compact" in policy:
        advice = "compaction keeps only the last event of a record; set cleanup.policy=delete on the topic"
        yield KAFKA.warned("events.cleanup", f"cleanup.policy of {topic} is {policy}", advice)
    else:
        yield KAFKA.passed("events.cleanup", f"cleanup.policy of {topic} is {policy}")


def _letter_topic_checks(kafka: KafkaObservation) -> Iterator[Check]:
    events, letters = kafka.settings.get(kafka.event_topic), kafka.settings.get(kafka.letter_topic)
    if events is None or letters is None or isinstance(events, Unknown) or isinstance(letters, Unknown):
        return
    name, limit = "dead-letters.message-size", letters.max_message_bytes
    if limit is None:
        return
    found = f"max.message.bytes of {kafka.letter_topic} is {limit}"
    needed = letter_bytes(events)
    if limit < LEAST_LETTER_BYTES:
        advice = f"not even a cut letter fits, so an invalid event stops its partition; set max.message.bytes={needed}"
        yield KAFKA.failed(name, found, advice)
    elif too_small_for_letters(letters, events):
        advice = f"large letters are cut; set max.message.bytes={needed} on the topic"
        yield KAFKA.warned(name, found, advice)
    else:
        yield KAFKA.passed(name, found)


def _outcomes_topic_checks(kafka: KafkaObservation) -> Iterator[Check]:
    settings = None if kafka.outcomes_topic is None else kafka.settings.get(kafka.outcomes_topic)
    if settings is None or isinstance(settings, Unknown) or settings.max_message_bytes is None:
        return
    name, limit = "outcomes.message-size", settings.max_message_bytes
    found = f"max.message.bytes of {kafka.outcomes_topic} is {limit}"
    if limit < LEAST_OUTCOME_BYTES:
        advice = f"outcomes do not fit, and each one stops its partition; set max.message.bytes={OUTCOME_BYTES}"
        yield KAFKA.failed(name, found, advice)
    elif too_small_for_outcomes(settings):
        advice = f"an outcome with a long reason stops its partition; set max.message.bytes={OUTCOME_BYTES}"
        yield KAFKA.warned(name, found, advice)
    else:
        yield KAFKA.passed(name, found)
