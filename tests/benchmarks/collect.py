"""Events a second that one collector applies from a real broker, beside a hand-made consumer on the same topic."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import Producer

from replog.events import encode
from replog_local.simulation import simulate
from tests.benchmarks.machine import pin
from tests.benchmarks.servers import Started
from tests.support.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The collector has this core for itself; Redis and the broker share the other.
COLLECTOR_CORE, SERVERS_CORE = 0, 1
#: Seconds to wait where the producer's queue is full, and between two looks at what is applied.
_FULL_S, LOOK_S = 0.1, 0.1
_APPLIED = re.compile(r"^replog_events_total\{.*\} (\S+)$", re.MULTILINE)


class Rate(NamedTuple):
    """Events applied between the first and the last look, and the seconds between."""

    events: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def publish(servers: str, topic: str, *, records: int, details_per_record: int) -> int:
    """Publish the simulated stream; returns the number of events."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 50, "queue.buffering.max.messages": 500_000})
    published = 0
    for event in simulate(1, records=records, details_per_record=details_per_record):
        key, value = event.record_id.encode(), encode(event)
        while not _queued(producer, topic, key, value):
            producer.poll(_FULL_S)
        published += 1
    producer.flush()
    return published


def _queued(producer: Producer, topic: str, key: bytes, value: bytes) -> bool:
    """Hand a message to the producer; False where its queue is full."""
    try:
        producer.produce(topic, key=key, value=value)
    except BufferError:
        return False
    return True


def ours(servers: str, topic: str, redis_url: str, prefix: str, total: int) -> Rate:
    """The collector as it is deployed; watched through its metrics."""
    with started(settings(servers, topic, redis_url, prefix), COLLECTOR_CORE) as collector:
        return _watched(collector.port, total)


@contextmanager
def started(variables: dict[str, str], core: int | None = None) -> Iterator[Started]:
    """A collector with these variables, on one core or on any."""
    port = free_port()
    environment = {**os.environ, **variables, "REPLOG_COLLECTOR_PORT": str(port)}
    with _started([sys.executable, "-m", "replog_collector.main"], environment, core) as process:
        yield Started(process.pid, port)


def settings(servers: str, topic: str, redis_url: str, prefix: str) -> dict[str, str]:
    """The variables of a process that works on ``topic`` and on the store under ``prefix``."""
    return {
        "REPLOG_KAFKA_BOOTSTRAP_SERVERS": servers,
        "REPLOG_KAFKA_TOPIC": topic,
        "REPLOG_KAFKA_GROUP_ID": f"bench-{prefix}",
        "REPLOG_REDIS_URL": redis_url,
        "REPLOG_REDIS_PREFIX": prefix,
        # The simulated events are of one day long ago, and are to stay.
        "REPLOG_RETENTION_DAYS": "36500",
        "REPLOG_LOG_LEVEL": "WARNING",
    }


def _watched(port: int, total: int) -> Rate:
    looks: list[tuple[float, int]] = []
    while not looks or looks[-1][1] < total:
        time.sleep(LOOK_S)
        if count := applied(port):
            looks.append((time.monotonic(), count))
    return _between(looks)


def applied(port: int) -> int:
    """Events that a collector has applied, by its metrics; 0 where it does not answer yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return 0
    return int(sum(float(count) for count in _APPLIED.findall(text)))


def plain(servers: str, topic: str, redis_url: str, prefix: str, total: int) -> Rate:
    """The hand-made consumer."""
    command = [sys.executable, "-m", "tests.benchmarks.plain_consumer", servers, topic, redis_url, prefix, str(total)]
    with _started(command, dict(os.environ), COLLECTOR_CORE) as process:
        assert process.stdout
        looks = [(float(at), int(applied)) for at, applied in (line.split() for line in process.stdout)]
    return _between(looks)


def _between(looks: list[tuple[float, int]]) -> Rate:
    # What was applied before the first look took an unknown time.
    (begun, before), (ended, after) = looks[0], looks[-1]
    return Rate(after - before, ended - begun)


@contextmanager
def _started(command: list[str], environment: dict[str, str], core: int | None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        if core is not None:
            pin(process.pid, core)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        if process.stdout:
            process.stdout.close()
