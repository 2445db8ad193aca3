"""The publisher and a broker of its own, which a test may end."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer

from replog import Publisher
from replog.errors import BrokerUnavailable
from replog.events import encode
from replog.settings import KafkaSettings
from replog_local.processes import Children
from replog_local.simulation import simulate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TOPIC = "published"
DEADLINE_S = 30.0


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Children]:
    """What an embedded broker is started in, and ended with the test."""
    children = Children(tmp_path, os.environ)
    yield children
    await children.stop(["broker"])


async def start(broker: Children) -> KafkaSettings:
    """Settings that reach the broker, started."""
    command = [sys.executable, "-m", "replog_local.embedded_broker", TOPIC]
    address = await broker.start_and_read_line("broker", command, {})
    return KafkaSettings(kafka_bootstrap_servers=address, kafka_topic=TOPIC)


async def read(settings: KafkaSettings, count: int) -> list[tuple[bytes, bytes]]:
    """The first ``count`` messages of the topic."""
    messages: list[tuple[bytes, bytes]] = []
    servers = settings.kafka_bootstrap_servers
    async with (
        asyncio.timeout(DEADLINE_S),
        AIOKafkaConsumer(TOPIC, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer,
    ):
        while len(messages) < count:
            fetched = await consumer.getmany(timeout_ms=1000)
            messages += [(message.key, message.value) for batch in fetched.values() for message in batch]
    return messages


async def test_once_the_publisher_is_left_the_broker_has_every_event_once(broker: Children) -> None:
    """Each under its record's id."""
    settings = await start(broker)
    events = list(simulate(1, records=5, details_per_record=10))
    async with Publisher(settings) as publisher:
        for event in events:
            await publisher.publish(event)
    expected = sorted((event.record_id.encode(), encode(event)) for event in events)
    assert sorted(await read(settings, len(events))) == expected


async def test_a_broker_that_goes_away_does_not_hold_the_worker_for_ever(broker: Children) -> None:
    """After the delivery time-out the events are named, and nothing of the client stays behind."""
    settings = await start(broker)
    tasks = asyncio.all_tasks()

    async def work() -> None:
        async with Publisher(settings, delivery_timeout_s=0.5) as publisher, publisher.record(task_key="t"):
            await broker.stop(["broker"])

    with pytest.raises(BrokerUnavailable, match=r"record\.finished of record"):
        async with asyncio.timeout(DEADLINE_S):
            await work()
    assert asyncio.all_tasks() <= tasks


async def test_a_broker_that_is_not_there_is_said_at_once(broker: Children) -> None:
    """Before the worker begins its work."""
    settings = await start(broker)
    await broker.stop(["broker"])
    with pytest.raises(BrokerUnavailable, match="Kafka at"):
        await Publisher(settings).__aenter__()
