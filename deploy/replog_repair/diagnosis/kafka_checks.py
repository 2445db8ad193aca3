"""Verdicts about Kafka: topics, their settings, the consumer group and its lag. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.settings import variable
from replog_collector.topics.requirements import (
    EVENT_BYTES,
    LEAST_LETTER_BYTES,
    letter_bytes,
    too_small_for_events,
    too_small_for_letters,
)
from replog_repair.diagnosis.checks import Area
from replog_repair.diagnosis.observations import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replog_collector.topics.descriptions import GroupDescription, TopicDescription, TopicSettings
    from replog_repair.diagnosis.checks import Check
    from replog_repair.diagnosis.lag import GroupLag
    from replog_repair.diagnosis.observations import KafkaObservation, Observations

KAFKA = Area("kafka")
#: Copies from which the loss of one broker loses nothing.
SAFE_COPIES = 2
#: Copies of a message that are written before it is acknowledged, in a cluster of three brokers or more.
SAFE_IN_SYNC = 2
#: Seconds after which a collector that keeps up has applied an event, even if its group was just rebalanced.
AGE_LIMIT_S = 60
#: Seconds by which clocks may differ.
CLOCK_LIMIT_S = 2.0
_DAY_MS = 86_400_000
_ANY = -1
_SEE_TOPICS = "see docs/operations.md, Topics"
_GRANT = "grant DESCRIBE_CONFIGS on both topics to this user, or look at the settings yourself"


def kafka_checks(observed: Observations) -> Iterator[Check]:
    """All checks of Kafka."""
    kafka = observed.kafka
    if isinstance(kafka, Unknown):
        setting = variable("kafka_bootstrap_servers")
        yield KAFKA.failed("brokers", kafka.message, f"start the brokers, or set {setting} and the access settings")
        return
    yield KAFKA.passed("brokers", f"{kafka.servers} answers")
    for role, name in (("events", kafka.event_topic), ("dead-letters", kafka.letter_topic)):
        yield from _topic_checks(role, name, kafka)
    yield from _event_topic_checks(kafka, observed.retention_days)
    yield from _letter_topic_checks(kafka)
    yield from _group_checks(observed, kafka)
    yield from _clock_checks(kafka, observed.now_ms)


def _topic_checks(role: str, name: str, kafka: KafkaObservation) -> Iterator[Check]:
    topic = kafka.topics.get(name)
    if topic is None:
        yield KAFKA.failed(f"{role}.topic", f"there is no topic {name}", f"create it: {_SEE_TOPICS}")
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


def _group_checks(observed: Observations, kafka: KafkaObservation) -> Iterator[Check]:
    lag = kafka.lag
    if isinstance(lag, Unknown):
        # A missing topic has its own check.
        if lag.kind != "missing":
            yield KAFKA.untold("lag", lag, "grant READ on the group and DESCRIBE on the topic to this user")
        return
    if isinstance(lag.description, Unknown):
        yield KAFKA.untold("group", lag.description, "look at the collectors themselves")
    else:
        yield _group_check(lag, lag.description)
    yield from _lag_checks(lag, observed.now_ms)


def _group_check(lag: GroupLag, group: GroupDescription) -> Check:
    members, partitions = len(group.members), len(lag.partitions)
    found = f"{lag.group} is {group.state}, with {members} members for {partitions} partitions"
    if not members and lag.total:
        return KAFKA.failed("group", found, "start collectors: events wait, and nobody reads them")
    if not members:
        return KAFKA.warned("group", found, "start collectors")
    if group.state != "Stable":
        return KAFKA.warned("group", found, "the group assigns its partitions anew; look again in half a minute")
    if unowned := [partition.number for partition in lag.partitions if partition.owner is None]:
        return KAFKA.failed("group", f"{found}; nobody has {unowned}", "restart the collectors one after the other")
    if members > partitions:
        return KAFKA.warned("group", found, "add partitions, or stop collectors: some have nothing to do")
    return KAFKA.passed("group", found)


def _lag_checks(lag: GroupLag, now_ms: int) -> Iterator[Check]:
    if lag.lost:
        advice = "raise retention.ms of the topic; publish again what is missing (docs/troubleshooting.md)"
        yield KAFKA.failed("lost", f"{lag.lost} messages were deleted before they were read", advice)
    if isinstance(lag.checkpoints, Unknown):
        found = f"{lag.total} messages after the committed offsets; the checkpoints could not be read"
        yield KAFKA.warned("lag", found, "see the checks of Redis")
        return
    age_s = lag.age_s(now_ms)
    found = f"{lag.total} messages are not applied yet"
    if age_s is not None:
        found += f", the oldest of {age_s:.0f} s ago"
    if age_s is not None and age_s > AGE_LIMIT_S:
        yield KAFKA.warned("lag", found, "see replog lag, and docs/troubleshooting.md, Lag grows")
    else:
        yield KAFKA.passed("lag", found)


def _clock_checks(kafka: KafkaObservation, now_ms: int) -> Iterator[Check]:
    # No request asks a broker for its time. Where it stamps messages itself, the newest one gives a lower bound.
    if kafka.newest_ms is None:
        return
    settings = kafka.settings.get(kafka.event_topic)
    known = None if isinstance(settings, Unknown) else settings
    whose = "a broker" if known and known.timestamp_type == "LogAppendTime" else "a publisher"
    ahead_s = (kafka.newest_ms - now_ms) / 1000
    if ahead_s > CLOCK_LIMIT_S:
        found = f"the newest message is dated {ahead_s:.1f} s ahead of this machine"
        yield KAFKA.warned("clock", found, f"the clock of {whose}, or of this machine, is wrong: look at NTP")
    else:
        yield KAFKA.passed("clock", f"no message is dated ahead; its time is that of {whose}")
