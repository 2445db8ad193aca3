"""Dead letters that the dead-letter topic does not take as they came."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.support.services.process import wait_until
from tests.support.system import COLLECTOR, READABLE_TIMEOUT_S, Message, message, narrow, system_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.services.kafka import Broker
    from tests.support.system import Process, System

pytestmark = pytest.mark.real_broker

HUGE = b"\0" * 3_000_000
VALID = {"type": "record.started", "recordId": "r", "taskKey": "t", "eventTime": "2021-05-12T12:19:08.813Z"}


@pytest.fixture
def system(kafka: Broker, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of one test, nothing started."""
    with system_on(kafka, redis_url, tmp_path_factory.mktemp("system")) as made:
        yield made


async def publish_compressed(system: System, messages: Sequence[Message]) -> None:
    """Publish each in a Kafka batch of its own, by gzip."""
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=system.variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"],
        compression_type="gzip",
        max_request_size=10_000_000,
    )
    async with producer:
        for given in messages:
            await producer.send_and_wait(system.topic, given.value, key=given.key, headers=list(given.headers))


def settled(collector: Process) -> float:
    """The events that something became of."""
    return sum(collector.metrics("replog_events_total").values())


@pytest.mark.parametrize("max_bytes", [2 * 1024 * 1024, 1_000])
def test_messages_that_were_compressed_hold_nothing_up(system: System, max_bytes: int) -> None:
    """Whichever of their parts is larger than what the dead-letter topic takes."""
    narrow(system.variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"], f"{system.topic}.dlq", max_bytes)
    collector = system.started(COLLECTOR)
    invalid = [
        Message(b"header", b"x", (("h", HUGE), ("small", b"1"))),
        Message(HUGE, b"x"),
        Message(b"value", HUGE),
        Message(b"name", b"x", (("n" * len(HUGE), b""),)),
        Message(b"many", b"x", tuple((f"h{number}", b"") for number in range(300_000))),
    ]
    asyncio.run(publish_compressed(system, [*invalid, message(VALID)]))
    assert wait_until(lambda: settled(collector) == len(invalid) + 1, READABLE_TIMEOUT_S), collector.log
    letters = {letter.value if letter.key is None else letter.key[:6]: letter for letter in system.dead_letters()}
    cut = {key: json.loads(dict(letter.headers)["replog.cut"]) for key, letter in letters.items()}
    whole = {key: {part: of["bytes"] for part, of in parts.items()} for key, parts in cut.items()}
    many = sum(len(f"h{number}") + 2 for number in range(300_000))
    assert whole == {
        b"header": {"headers": len(HUGE) + 1 + 2 + len("small") + 1 + 2},
        HUGE[:6]: {"key": len(HUGE)},
        b"value": {"value": len(HUGE)},
        b"name": {"headers": len(HUGE) + 2},
        b"many": {"headers": many},
    }
    assert letters[b"header"].headers[0] == ("small", b"1")
    assert collector.stop() == 0
