"""``replog history`` over a real broker, with a query service that knows the record and without one."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.support import streams
from tests.support.dead_letters import lines
from tests.support.model import Model
from tests.support.system import API, COLLECTOR, answers_what, message, system_on
from tests.support.terminal import piped

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

    from tests.support.services.kafka import Broker
    from tests.support.streams import Event
    from tests.support.system import System

pytestmark = pytest.mark.real_broker

NOW = datetime.now(UTC).replace(microsecond=0)
#: When the two halves of the events are published, by the timestamps of their messages. Retention spares them.
FIRST, SECOND = NOW - timedelta(hours=3), NOW - timedelta(hours=1)
BEFORE, BETWEEN, AFTER = (NOW - timedelta(hours=hours) for hours in (4, 2, 0))


@pytest.fixture
def system(kafka: Broker, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of one test, nothing started."""
    with system_on(kafka, redis_url, tmp_path_factory.mktemp("system")) as made:
        yield made


def publish(system: System, events: Sequence[Event], at: datetime, *, partition: int | None = None) -> None:
    """Publish ``events`` with this timestamp."""
    asyncio.run(_publish(system, events, int(at.timestamp() * 1000), partition))


async def _publish(system: System, events: Sequence[Event], at_ms: int, partition: int | None) -> None:
    servers = system.variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"]
    producer: Any = AIOKafkaProducer(bootstrap_servers=servers, acks="all")
    async with producer:
        for event in events:
            given = message(event)
            await producer.send(system.topic, given.value, key=given.key, timestamp_ms=at_ms, partition=partition)
        await producer.flush()


def history(system: System, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command with the settings of the system; no query service unless it is given."""
    settings = {**system.variables, "REPLOG_API_URL": "http://127.0.0.1:1", "TZ": "UTC", **variables}
    return piped("history", *arguments, **settings)


def record(seed: int) -> list[Event]:
    """A record with details, in any order, some events twice."""
    random = Random(seed)
    events = streams.record_events(random, "run", ["t"]) + streams.awkward_details(random, "run", 6)
    return streams.shuffled(random, events)


def test_the_record_at_a_time_is_as_the_oracle_answers_then(system: System) -> None:
    events = record(3)
    others = streams.record_events(Random(4), "another", ["t"])
    half = len(events) // 2
    publish(system, events[:half] + others, FIRST)
    publish(system, events[half:], SECOND)
    collector, api = system.started(COLLECTOR), system.started(API)
    answers_what(api, Model(events + others, now=datetime.now(UTC)))
    east = timezone(timedelta(hours=2))
    for known, until in ((events[:half], BETWEEN.isoformat()), (events, AFTER.astimezone(east).isoformat())):
        shown = history(system, "run", "--at", until, "--json", REPLOG_API_URL=api.url)
        assert (shown.returncode, shown.stderr) == (0, "")
        model = Model(known, now=datetime.fromisoformat(until))
        answers = json.loads(shown.stdout)
        own = any(event["type"].startswith("record.") for event in known)
        assert answers["run"] == (model.run("run") if own else None)
        assert answers["overview"] == model.overview("run")
        assert answers["details"] == model.details("run")
    found = lines(history(system, "run", "--json", REPLOG_API_URL=api.url))
    assert len(found) == len(events)
    assert [entry["type"] for entry in found] == [event["type"] for event in events]
    shown = history(system, "run", "--at", BEFORE.isoformat())
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "Nothing was known of run at that time." in shown.stderr
    assert collector.stop() == 0


def test_events_are_listed_with_what_they_changed(system: System) -> None:
    started = {"type": "record.started", "recordId": "r", "taskKey": "t", "eventTime": "2021-05-12T12:00:00Z"}
    finished = {
        **started,
        "type": "record.finished",
        "eventTime": "2021-05-12T12:00:09Z",
        "status": "FAILED",
        "errorReason": "full",
    }
    wrong = {**started, "attempt": "x"}
    publish(system, [started, finished, started, wrong], FIRST)
    shown = history(system, "r")
    assert shown.returncode == 0, shown.stderr
    rows = shown.stdout.splitlines()[1:]
    assert ["applied" in rows[0], "applied" in rows[1], "duplicate" in rows[2], "invalid" in rows[3]] == [True] * 4
    assert "status FAILED" in rows[1]
    assert "errorReason full" in rows[1]
    assert "attempt is wrong" in rows[3]
    assert "No query service tells the record's start" in shown.stderr
    assert "4 events" in shown.stderr


def test_events_in_another_partition_are_found(system: System) -> None:
    """Where nothing is in the partition of the key; and with an option, where something is."""
    event = {"type": "record.started", "recordId": "r", "taskKey": "t", "eventTime": "2021-05-12T12:00:00Z"}
    for partition in range(4):
        publish(system, [event | {"recordId": f"r{partition}"}], FIRST, partition=partition)
    for partition in range(4):
        (entry,) = lines(history(system, f"r{partition}", "--json"))
        assert entry["partition"] == partition
    for partition in range(4):
        publish(system, [event], FIRST, partition=partition)
    assert len(lines(history(system, "r", "--json", "--all-partitions"))) == 4
