"""SIGTERM ends a collector within 10 s, with exit code 0, whatever it waits for."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaException

from tests.support import streams
from tests.support.model import Model
from tests.support.services import ServiceUnavailableError, kafka_admin
from tests.support.services.kafka_maven import MavenBroker
from tests.support.services.process import free_port, wait_until
from tests.support.services.redis import OwnRedis, server_binary
from tests.support.system import API, COLLECTOR, Message, answers_what, message, system_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.services.kafka import Broker
    from tests.support.streams import Event
    from tests.support.system import Process, System

PROMISED_S = 10.0
DEADLINE_S = 60.0


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis of this test's own, which may stand still."""
    try:
        server = OwnRedis(server_binary(None), tmp_path)
    except ServiceUnavailableError as why:
        pytest.skip(f"no Redis: {why}")
    server.start()
    yield server
    server.resume()
    server.close()


@pytest.fixture
def system(kafka: Broker, redis: OwnRedis, tmp_path: Path) -> Iterator[System]:
    """A system on it, nothing started."""
    with system_on(kafka, redis.url, tmp_path, forget=False) as made:
        yield made


def stopped_in_s(collector: Process) -> float:
    """How long it took to end by SIGTERM, with exit code 0."""
    began_s = time.monotonic()
    assert collector.stop() == 0, collector.log
    return time.monotonic() - began_s


def pending(collector: Process) -> float:
    """Events that it has in hand."""
    return collector.metrics("replog_events_pending")[""]


def resume(broker: MavenBroker) -> None:
    """Let the broker go on, and return once it makes topics again: for a while it takes itself for missed."""
    broker.resume()

    def makes_topics() -> bool:
        try:
            kafka_admin.create_topics(broker.address, [f"replog-test.{uuid.uuid4().hex}"])
        except KafkaException:
            return False
        return True

    assert wait_until(makes_topics, DEADLINE_S)


def events() -> list[Event]:
    """A stream in any order, some of it twice."""
    return streams.awkward_stream(Random(7))


def test_with_a_batch_before_a_redis_that_stands_still(system: System, redis: OwnRedis) -> None:
    """And another behind it: both come again."""
    published = events()
    collector = system.started(COLLECTOR)
    assert wait_until(lambda: bool(collector.lines("partitions_assigned")), DEADLINE_S)
    redis.pause()
    system.publish([*map(message, published)])
    assert wait_until(lambda: pending(collector) > 0, DEADLINE_S)
    assert stopped_in_s(collector) < PROMISED_S
    redis.resume()
    collector.start()
    answers_what(system.started(API), Model(published, now=datetime.now(UTC)))


def test_while_starting_with_a_redis_that_stands_still(system: System, redis: OwnRedis) -> None:
    redis.pause()
    assert stopped_in_s(system.started(COLLECTOR)) < PROMISED_S


def test_while_starting_with_neither_there(system: System) -> None:
    away = {
        "REPLOG_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
        "REPLOG_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
    }
    collector = system.started(COLLECTOR, **away)
    assert wait_until(lambda: bool(collector.lines("backing_off")), DEADLINE_S)
    assert stopped_in_s(collector) < PROMISED_S


def of_a_broker_that_stands_still(broker: MavenBroker, collector: Process, system: System) -> None:
    """From when the collector is idle."""
    assert wait_until(lambda: bool(collector.lines("partitions_assigned")), DEADLINE_S)
    broker.pause()


def before_it_has_joined(broker: MavenBroker, collector: Process, system: System) -> None:
    """From before the collector is started."""
    assert collector.stop() == 0
    broker.pause()
    collector.start()


def with_a_dead_letter_in_hand(broker: MavenBroker, collector: Process, system: System) -> None:
    """From when the topic of dead letters has refused one."""
    system.publish([Message(b"k", b"{")])
    assert wait_until(lambda: bool(collector.lines("dead_letter")), DEADLINE_S)
    system.publish([Message(b"k", json.dumps({"type": "unknown"}).encode())] * 10)
    broker.pause()


@pytest.mark.real_broker
@pytest.mark.parametrize(
    "stand_still", [of_a_broker_that_stands_still, before_it_has_joined, with_a_dead_letter_in_hand]
)
def test_of_a_broker_that_stands_still(
    system: System, kafka: Broker, stand_still: Callable[[MavenBroker, Process, System], None]
) -> None:
    if not isinstance(kafka, MavenBroker):
        pytest.skip("needs the broker from Maven: set REPLOG_TEST_KAFKA=maven")
    collector = system.started(COLLECTOR)
    try:
        stand_still(kafka, collector, system)
        assert stopped_in_s(collector) < PROMISED_S
    finally:
        resume(kafka)


@pytest.mark.real_broker
def test_with_both_standing_still(system: System, kafka: Broker, redis: OwnRedis) -> None:
    if not isinstance(kafka, MavenBroker):
        pytest.skip("needs the broker from Maven: set REPLOG_TEST_KAFKA=maven")
    collector = system.started(COLLECTOR)
    assert wait_until(lambda: bool(collector.lines("partitions_assigned")), DEADLINE_S)
    redis.pause()
    system.publish([*map(message, events())])
    assert wait_until(lambda: pending(collector) > 0, DEADLINE_S)
    try:
        kafka.pause()
        assert stopped_in_s(collector) < PROMISED_S
    finally:
        resume(kafka)
