"""Verdicts about Kafka: the brokers, the consumer group and its lag; the topics by their own module. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.settings import variable
from replog_repair.diagnosis.checking.checks import KAFKA
from replog_repair.diagnosis.checking.topic_checks import topic_checks
from replog_repair.diagnosis.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replog_collector.topics.descriptions import GroupDescription
    from replog_repair.diagnosis.checking.checks import Check
    from replog_repair.diagnosis.lag import GroupLag
    from replog_repair.diagnosis.observations import KafkaObservation, Observations

#: Seconds after which a collector that keeps up has applied an event, even if its group was just rebalanced.
AGE_LIMIT_S = 60
#: Seconds by which clocks may differ.
CLOCK_LIMIT_S = 2.0


def kafka_checks(observed: Observations) -> Iterator[Check]:
    """All checks of Kafka."""
    kafka = observed.kafka
    if isinstance(kafka, Unknown):
        setting = variable("kafka_bootstrap_servers")
        yield KAFKA.failed("brokers", kafka.message, f"start the brokers, or set {setting} and the access settings")
        return
    yield KAFKA.passed("brokers", f"{kafka.servers} answers")
    yield from topic_checks(kafka, observed.retention_days)
    yield from _group_checks(observed, kafka)
    yield from _clock_checks(kafka, observed.now_ms)


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
