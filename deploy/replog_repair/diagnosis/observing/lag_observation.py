"""Observes the lag of the collectors: what the broker says of the group, and the store of its checkpoints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from replog.errors import BrokerUnavailable, TopicMissing
from replog.store.write.offsets import Span
from replog_collector.topics.reader import ReaderTimings, TopicReader
from replog_repair.diagnosis.lag import GroupLag, owners, partition_lag
from replog_repair.diagnosis.observing.asking import answered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replog.settings import CollectorSettings
    from replog_collector.topics.administration import Administration
    from replog_repair.diagnosis.lag import PartitionLag
    from replog_repair.diagnosis.unknown import Unknown

#: Offsets in which a message is looked for, and looked for again: some hold none, such as the ends of transactions.
_LOOKED_AT = (1, 500)


async def observe_lag(
    kafka: Administration,
    settings: CollectorSettings,
    checkpoints: Mapping[int, int | None] | Unknown,
    *,
    answer_timeout_s: float,
) -> GroupLag:
    """The lag of the group of ``settings`` on its topic, as it is now.

    Raises:
        TopicMissing: there is no such topic.
        BrokerUnavailable: the brokers do not answer.
        BrokerRefused: they deny their offsets to this user.
    """
    group, topic = settings.kafka_group_id, settings.kafka_topic
    described = (await kafka.topics([topic])).get(topic)
    if described is None:
        raise TopicMissing(f"Kafka at {settings.kafka_bootstrap_servers} has no topic {topic}")
    offsets = await kafka.offsets(group, topic, described.partitions)
    description = await answered(kafka.group(group, topic), within_s=answer_timeout_s)
    owned = owners(description)
    partitions = [partition_lag(number, of, checkpoints, owned.get(number)) for number, of in sorted(offsets.items())]
    oldest = await first_times(
        settings,
        {partition.number: Span(partition.next_offset, partition.end) for partition in partitions},
        answer_timeout_s=answer_timeout_s,
    )
    return GroupLag(group, topic, description, checkpoints, tuple(_dated(partitions, oldest)))


async def first_times(
    settings: CollectorSettings, spans: Mapping[int, Span], *, answer_timeout_s: float
) -> dict[int, int]:
    """The times of publishing of the first messages of ``spans``, in ms since 1970; none where that is not known.

    Raises BrokerUnavailable.
    """
    left = {number: span for number, span in spans.items() if span.begin < span.end}
    found: dict[int, int] = {}
    timings = ReaderTimings(answer_s=answer_timeout_s, patience_s=answer_timeout_s)
    async with TopicReader(settings, settings.kafka_topic, timings=timings) as reader:
        for offsets in _LOOKED_AT:
            if left := {number: span for number, span in left.items() if number not in found}:
                await _read_first(reader, {n: Span(at, min(end, at + offsets)) for n, (at, end) in left.items()}, found)
    return {number: time_ms for number, time_ms in found.items() if time_ms >= 0}


async def _read_first(reader: TopicReader, spans: Mapping[int, Span], found: dict[int, int]) -> None:
    """Add the times of the first messages of ``spans`` to ``found``."""
    async for messages in reader.read(spans):
        for message in messages:
            found.setdefault(message.partition, message.timestamp)


def _dated(partitions: list[PartitionLag], oldest: Mapping[int, int]) -> list[PartitionLag]:
    return [replace(partition, oldest_ms=oldest.get(partition.number)) for partition in partitions]


async def newest_time(settings: CollectorSettings, lag: GroupLag, *, answer_timeout_s: float) -> int | None:
    """The time of publishing of the newest message, in ms since 1970; None where no partition ends with one."""
    ends = {
        partition.number: Span(partition.end - 1, partition.end)
        for partition in lag.partitions
        if partition.end > partition.first
    }
    try:
        times = await first_times(settings, ends, answer_timeout_s=answer_timeout_s)
    except BrokerUnavailable:
        # The brokers answered just before; what they do not tell now is one check less.
        return None
    return max(times.values(), default=None)
