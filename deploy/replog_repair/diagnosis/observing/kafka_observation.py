"""Observes Kafka: the topics, their settings, and the group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog_collector.topics.administration import Administration
from replog_repair.diagnosis.observations import KafkaObservation
from replog_repair.diagnosis.observing.asking import answered
from replog_repair.diagnosis.observing.lag_observation import newest_time, observe_lag
from replog_repair.diagnosis.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from replog.settings import CollectorSettings


async def observe_kafka(
    settings: CollectorSettings,
    checkpoints: Awaitable[Mapping[int, int | None] | Unknown],
    *,
    answer_timeout_s: float,
    area_timeout_s: float,
) -> KafkaObservation:
    """The answers of the brokers. Raises BrokerUnavailable, BrokerRefused, SettingsError where that is nothing."""
    names = (settings.kafka_topic, settings.dead_letter_topic, settings.kafka_outcomes_topic)
    async with Administration(settings, timeout_s=answer_timeout_s) as kafka:
        topics = await kafka.topics([name for name in names if name is not None])
        return KafkaObservation(
            settings.kafka_bootstrap_servers,
            *names,
            topics,
            {name: await answered(kafka.settings(name), within_s=answer_timeout_s) for name in topics},
            lag := await answered(
                observe_lag(kafka, settings, await checkpoints, answer_timeout_s=answer_timeout_s),
                within_s=area_timeout_s,
            ),
            None if isinstance(lag, Unknown) else await newest_time(settings, lag, answer_timeout_s=answer_timeout_s),
        )
