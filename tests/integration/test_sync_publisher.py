"""The publisher for threads and a broker of its own, which a test may end."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from replog import SyncPublisher
from replog.errors import BrokerUnavailable
from replog.events import parse
from tests.support.own_broker import OwnBroker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EVENTS = Path(__file__).parents[2] / "docs" / "events.md"
THREADS = 32
DEADLINE_S = 60.0

#: Leaves a publisher open, with events that nobody waited for.
OPEN = """
import sys
from replog import SyncPublisher
from replog.settings import KafkaSettings

settings = KafkaSettings(kafka_bootstrap_servers=sys.argv[1], kafka_topic=sys.argv[2])
publisher = SyncPublisher(settings).__enter__()
record = publisher.record(task_key="t", record_id="r").__enter__()
for number in range(100):
    record.detail(detail_id=str(number)).__enter__()
"""


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[OwnBroker]:
    """An embedded broker, ended with the test."""
    async with OwnBroker.started(tmp_path) as running:
        yield running


async def run(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, which must end by itself, with further environment variables."""
    command, environment = [sys.executable, "-c", script, *arguments], os.environ | variables
    return await asyncio.to_thread(
        lambda: subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
    )


async def test_what_many_threads_publish_arrives_once(broker: OwnBroker) -> None:
    details = 20

    def replicate(worker: int) -> None:
        with publisher.record(task_key="t", record_id=f"r-{worker}") as record:
            for number in range(details):
                with record.detail(detail_id=f"d-{number}") as detail:
                    detail.progress(blob={"total": 1, "success": 1}, total_size=number)

    with SyncPublisher(broker.settings) as publisher, ThreadPoolExecutor(THREADS) as pool:
        await asyncio.get_running_loop().run_in_executor(None, lambda: list(pool.map(replicate, range(THREADS))))

    messages = await broker.read(THREADS * (2 + 3 * details))
    events = [parse(value) for _, value in messages]
    assert Counter(event.type for event in events) == {
        "record.started": THREADS,
        "record.finished": THREADS,
        "detail.started": THREADS * details,
        "detail.progressed": THREADS * details,
        "detail.finished": THREADS * details,
    }
    assert len({value for _, value in messages}) == len(messages)
    assert all(key == event.record_id.encode() for (key, _), event in zip(messages, events, strict=True))


async def test_what_a_process_left_open_arrives(broker: OwnBroker) -> None:
    """The interpreter's exit waits for the acknowledgements."""
    ended = await run(OPEN, broker.settings.kafka_bootstrap_servers, broker.settings.kafka_topic)
    assert (ended.returncode, ended.stderr) == (0, "")
    events = [parse(value) for _, value in await broker.read(101)]
    assert Counter(event.type for event in events) == {"record.started": 1, "detail.started": 100}


async def test_the_documented_example_works(broker: OwnBroker) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", EVENTS.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    ended = await run(
        example,
        REPLOG_KAFKA_BOOTSTRAP_SERVERS=broker.settings.kafka_bootstrap_servers,
        REPLOG_KAFKA_TOPIC=broker.settings.kafka_topic,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    events = [parse(value) for _, value in await broker.read(8)]
    assert Counter(event.type for event in events) == {
        "record.started": 1,
        "record.finished": 1,
        "detail.started": 2,
        "detail.progressed": 2,
        "detail.finished": 2,
    }


async def test_a_broker_that_goes_away_does_not_hold_the_threads(broker: OwnBroker) -> None:
    """After the delivery time-out the missing events are named."""

    def work() -> None:
        with SyncPublisher(broker.settings, delivery_timeout_s=0.5) as publisher, publisher.record(task_key="t"):
            asyncio.run_coroutine_threadsafe(broker.stop(), loop).result(DEADLINE_S)

    loop = asyncio.get_running_loop()
    with pytest.raises(BrokerUnavailable, match=r"record\.finished of record"):
        await asyncio.wait_for(asyncio.to_thread(work), DEADLINE_S)


async def test_a_broker_that_is_not_there_is_reported_at_once(broker: OwnBroker) -> None:
    await broker.stop()
    with pytest.raises(BrokerUnavailable, match="Kafka at"):
        await asyncio.to_thread(SyncPublisher(broker.settings).__enter__)
