"""The publisher and a broker of its own, which a test may end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from replog import Publisher
from replog.errors import BrokerUnavailable
from replog.events import encode
from replog_local.simulation import simulate
from tests.support.own_broker import OwnBroker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DEADLINE_S = 30.0


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[OwnBroker]:
    """An embedded broker, ended with the test."""
    async with OwnBroker.started(tmp_path) as running:
        yield running


async def test_once_the_publisher_is_left_the_broker_has_every_event_once(broker: OwnBroker) -> None:
    """Each under its record's id."""
    events = list(simulate(1, records=5, details_per_record=10))
    async with Publisher(broker.settings) as publisher:
        for event in events:
            await publisher.publish(event)
    expected = sorted((event.record_id.encode(), encode(event)) for event in events)
    assert sorted(await broker.read(len(events))) == expected


async def test_a_broker_that_goes_away_does_not_hold_the_worker_for_ever(broker: OwnBroker) -> None:
    """After the delivery time-out the events are named, and nothing of the client stays behind."""
    tasks = asyncio.all_tasks()

    async def work() -> None:
        async with Publisher(broker.settings, delivery_timeout_s=0.5) as publisher, publisher.record(task_key="t"):
            await broker.stop()

    with pytest.raises(BrokerUnavailable, match=r"record\.finished of record"):
        async with asyncio.timeout(DEADLINE_S):
            await work()
    assert asyncio.all_tasks() <= tasks


async def test_a_broker_that_is_not_there_is_said_at_once(broker: OwnBroker) -> None:
    """Before the worker begins its work."""
    await broker.stop()
    with pytest.raises(BrokerUnavailable, match="Kafka at"):
        await Publisher(broker.settings).__aenter__()
