"""The tests' own broker and Redis do what the other tests take for granted."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.support.services import ServiceUnavailableError
from tests.support.services.kafka import start_broker
from tests.support.services.process import ServerProcess, run
from tests.support.services.redis import VARIABLE, connected, remove_keys, start_redis

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.services.kafka import Broker
    from tests.support.services.redis import RedisServer

DEADLINE_S = 30.0
#: How long a run of one test may take.
RUN_S = 300.0


async def publish(address: str, topic: str, value: bytes) -> None:
    """Send one message as any client would."""
    producer: Any = AIOKafkaProducer(bootstrap_servers=address, acks="all")
    async with producer:
        await producer.send_and_wait(topic, value)


async def first_value(address: str, topic: str) -> object:
    """The value of the topic's first message, waited for."""
    consumer: Any = AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(DEADLINE_S):
        return (await consumer.getone()).value


async def test_broker_gives_back_what_it_was_given(kafka_address: str, kafka_topic: str) -> None:
    """A message that any client sends can be read again, from the topic and from its dead-letter topic."""
    for topic in (kafka_topic, f"{kafka_topic}.dlq"):
        await publish(kafka_address, topic, topic.encode())
        assert await first_value(kafka_address, topic) == topic.encode()


@pytest.mark.real_broker
async def test_broker_keeps_its_address_and_messages_over_a_crash(kafka: Broker, kafka_topic: str) -> None:
    """Fault tests may kill the broker and start it again."""
    if not kafka.restartable:
        pytest.skip("the broker is not the tests' own")
    await publish(kafka.address, kafka_topic, b"before the crash")
    kafka.kill()
    kafka.start()
    assert await first_value(kafka.address, kafka_topic) == b"before the crash"


def test_redis_keeps_its_url_and_keys_over_a_stop(redis_server: RedisServer, redis_prefix: str) -> None:
    """Fault tests may end the Redis and start it again."""
    if not redis_server.restartable:
        pytest.skip("the Redis is not the tests' own")
    with connected(redis_server.url) as client:
        client.set(f"{redis_prefix}:key", "kept")
    redis_server.stop()
    redis_server.start()
    with connected(redis_server.url) as client:
        assert client.get(f"{redis_prefix}:key") == b"kept"


def test_redis_prefix_is_emptied_alone(redis_url: str, redis_prefix: str) -> None:
    """Removing one test's keys leaves another's."""
    mine, others = f"{redis_prefix}-mine", f"{redis_prefix}-others"
    with connected(redis_url) as client:
        client.mset({f"{mine}:{n}": n for n in range(2500)} | {f"{others}:1": 1})
        remove_keys(redis_url, mine)
        assert list(client.scan_iter(match=f"{redis_prefix}*")) == [f"{others}:1".encode()]


def test_prefix_is_the_tests_own(redis_url: str, redis_prefix: str) -> None:
    """A test begins with nothing under its prefix."""
    with connected(redis_url) as client:
        assert not list(client.scan_iter(match=f"{redis_prefix}*"))


@pytest.mark.parametrize("choice", ["nonsense", "127.0.0.1:1"])
def test_a_named_broker_is_never_replaced(choice: str, tmp_path: Path) -> None:
    """An explicit choice that does not work is an error that names it."""
    with pytest.raises(ServiceUnavailableError, match=choice):
        start_broker(choice, tmp_path, probe_timeout_s=0.1)


def test_a_named_redis_is_never_replaced(tmp_path: Path) -> None:
    """An explicit choice that is wrong is an error that says what is allowed."""
    with pytest.raises(ServiceUnavailableError, match="embedded"):
        start_redis("nonsense", tmp_path)


def test_a_server_that_is_not_ready_in_time_is_ended(tmp_path: Path) -> None:
    """Nothing stays running, and the error shows what the server said."""
    server = ServerProcess(tmp_path / "log")
    with pytest.raises(ServiceUnavailableError, match="starting for ever"):
        server.start(["sh", "-c", "echo starting for ever; exec sleep 600"], lambda: False, timeout_s=0.5)
    assert not server.running


def test_a_command_that_takes_too_long_is_ended() -> None:
    """Looking for a way to get a server never takes longer than its limit, children included."""
    with pytest.raises(ServiceUnavailableError, match="no answer"):
        run(["sh", "-c", "sleep 600 & sleep 600"], timeout_s=0.2)


#: A test each that needs nothing but one Redis, a cluster, a Sentinel.
NEEDING = (
    "tests/integration/test_services.py::test_prefix_is_the_tests_own",
    "tests/integration/test_cluster.py::test_a_merge_in_a_slot_on_the_move_is_whole_or_not_at_all",
    "tests/integration/test_sentinel.py::test_an_unknown_name_is_unavailable",
)


def test_servers_that_do_not_start_fail_the_run_instead_of_leaving_tests_out(tmp_path: Path) -> None:
    """As one does whose port somebody else took."""
    binary = tmp_path / "redis-server"
    binary.write_text("#!/bin/sh\necho the port is taken >&2\nexit 1\n")
    binary.chmod(0o755)
    output = run_of(NEEDING, {"PATH": f"{tmp_path}:{os.environ['PATH']}", VARIABLE: "server"})
    assert "the port is taken" in output
    assert output.splitlines()[-1].startswith("3 errors in ")


def test_a_named_binary_that_there_is_not_fails_the_run(tmp_path: Path) -> None:
    """Also for the servers beside the one Redis."""
    output = run_of(NEEDING, {VARIABLE: str(tmp_path / "none")})
    assert output.splitlines()[-1].startswith("3 errors in ")


def run_of(tests: Sequence[str], variables: dict[str, str]) -> str:
    """The output of a run of ``tests``, in a process of its own with these variables of those about tests."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("REPLOG_", "PYTEST_"))}
    environment = kept | variables
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=RUN_S)
    return ended.stdout.strip()
