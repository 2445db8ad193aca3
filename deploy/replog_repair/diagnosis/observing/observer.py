"""Observes everything that a diagnosis looks at, at the same time; what fails is a part of the observation."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from replog.settings import environment_notices
from replog_collector.topics.administration import Administration
from replog_repair.diagnosis.observations import Observations
from replog_repair.diagnosis.observing.api_observation import observe_api
from replog_repair.diagnosis.observing.asking import answered
from replog_repair.diagnosis.observing.kafka_observation import observe_kafka
from replog_repair.diagnosis.observing.lag_observation import observe_lag
from replog_repair.diagnosis.observing.store_observation import observe_checkpoints, observe_store

if TYPE_CHECKING:
    from replog.settings import ClientSettings, CollectorSettings
    from replog_repair.diagnosis.lag import GroupLag


@dataclass(frozen=True)
class TimeLimits:
    """Time limits, in seconds."""

    #: Of one answer.
    answer_s: float = 5.0
    #: Of everything that is asked of one of the servers.
    area_s: float = 20.0


_LIMITS = TimeLimits()


async def lag_now(settings: CollectorSettings, *, limits: TimeLimits = _LIMITS) -> GroupLag:
    """The lag of the collectors.

    Raises:
        TopicMissing: there is no such topic.
        BrokerUnavailable: the brokers do not answer.
        BrokerRefused: they deny their offsets to this user.
    """
    answer_s = limits.answer_s
    checkpoints = await answered(observe_checkpoints(settings, answer_timeout_s=answer_s), within_s=limits.area_s)
    async with Administration(settings, timeout_s=answer_s) as kafka:
        return await observe_lag(kafka, settings, checkpoints, answer_timeout_s=answer_s)


async def observe(settings: CollectorSettings, client: ClientSettings, *, limits: TimeLimits = _LIMITS) -> Observations:
    """Ask Kafka, Redis and the query service."""
    answer_s, area_s = limits.answer_s, limits.area_s
    async with asyncio.TaskGroup() as tasks:
        checkpoints = tasks.create_task(
            answered(observe_checkpoints(settings, answer_timeout_s=answer_s), within_s=area_s), name="checkpoints"
        )
        kafka = tasks.create_task(
            answered(
                observe_kafka(settings, checkpoints, answer_timeout_s=answer_s, area_timeout_s=area_s),
                within_s=2 * area_s,
            ),
            name="kafka",
        )
        store = tasks.create_task(
            answered(observe_store(settings, answer_timeout_s=answer_s), within_s=area_s), name="store"
        )
        api = tasks.create_task(answered(observe_api(client, answer_timeout_s=answer_s), within_s=area_s), name="api")
    return Observations(
        version=version("replog"),
        retention_days=max(settings.retention_days, settings.retention_failed_days or 0),
        kafka=kafka.result(),
        store=store.result(),
        checkpoints=checkpoints.result(),
        api=api.result(),
        notices=environment_notices(),
        now_ms=time.time_ns() // 1_000_000,
    )
