from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from replog.errors import BrokerUnavailable, StoreUnavailable
from replog_collector import backoff
from replog_collector.collector import Collector
from replog_collector.progress import Progress
from tests.fakes import MemoryDeadLetters, MemorySource, MemoryStore, MemoryTopic

if TYPE_CHECKING:
    from collections.abc import Callable

STARTED = {"type": "detail.started", "recordId": "r", "detailId": "d", "eventTime": "2021-05-12T12:00:00Z"}


def event(**fields: object) -> bytes:
    return json.dumps({**STARTED, **fields}).encode()


class System:
    """A collector on fakes."""

    def __init__(self) -> None:
        self.topic = MemoryTopic()
        self.source = MemorySource(self.topic)
        self.store = MemoryStore()
        self.letters = MemoryDeadLetters()
        self.progress = Progress(lambda: 0.0)
        self.collector = Collector(self.source, self.store, self.letters, self.progress)

    async def run_until(self, condition: Callable[[], bool]) -> None:
        run = asyncio.create_task(self.collector.run(starting=[self.source.start]))
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0)
        self.collector.stop()
        await run


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    # No test waits for a back-off.
    monkeypatch.setattr(backoff.Backoff, "next_s", counted_failure)
    return System()


def counted_failure(self: backoff.Backoff) -> float:
    self.failures += 1
    return 0.0


def counted(metric: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(metric, labels) or 0.0


async def test_events_are_merged_and_then_committed(system: System) -> None:
    for number in range(3):
        system.topic.publish(event(detailId=f"d{number}"))
    await system.run_until(lambda: system.topic.committed == 3)
    assert set(system.store.states) == {("r", "d0"), ("r", "d1"), ("r", "d2")}


async def test_nothing_is_committed_before_the_store_has_it(system: System) -> None:
    system.topic.publish(event())
    system.store.failures = [StoreUnavailable("connection", "down")] * 3
    committed_at_failure = []
    merge = system.store.merge

    async def watched(batch: object) -> None:
        committed_at_failure.append(system.topic.committed)
        await merge(batch)  # type: ignore[arg-type]

    system.store.merge = watched  # type: ignore[method-assign]
    await system.run_until(lambda: system.topic.committed == 1)
    assert committed_at_failure == [0, 0, 0, 0]


async def test_store_failures_are_counted_by_kind(system: System) -> None:
    before = counted("replog_store_errors_total", kind="oom")
    system.topic.publish(event())
    system.store.failures = [StoreUnavailable("oom", "full")] * 2
    await system.run_until(lambda: system.topic.committed == 1)
    assert counted("replog_store_errors_total", kind="oom") == before + 2


async def test_an_invalid_event_is_dead_lettered_and_the_others_go_on(system: System) -> None:
    system.topic.publish(b"{", key=b"k")
    system.topic.publish(event())
    await system.run_until(lambda: system.topic.committed == 2)
    (letter,) = system.letters.letters
    assert (letter.message.value, letter.message.key, letter.error.reason) == (b"{", b"k", "not_json")
    assert ("r", "d") in system.store.states


async def test_nothing_is_committed_before_dead_letters_are_acknowledged(system: System) -> None:
    system.topic.publish(b"{")
    system.letters.failures = [BrokerUnavailable("down")] * 2
    await system.run_until(lambda: system.topic.committed == 1)
    assert len(system.letters.letters) == 1


async def test_a_tombstone_is_passed_over_and_counted(system: System) -> None:
    before = counted("replog_tombstones_total")
    system.topic.publish(None)
    await system.run_until(lambda: system.topic.committed == 1)
    assert counted("replog_tombstones_total") == before + 1
    assert system.letters.letters == []


async def test_a_failed_commit_does_not_stop_the_collector(system: System) -> None:
    system.source.commit_fails = True
    system.topic.publish(event())
    await system.run_until(lambda: ("r", "d") in system.store.states)
    assert system.topic.committed == 0


async def test_a_stop_in_an_outage_leaves_the_batch_to_the_next_member(system: System) -> None:
    system.topic.publish(event())
    system.store.failures = [StoreUnavailable("connection", "down")] * 1000
    await system.run_until(lambda: len(system.store.failures) < 990)
    assert system.topic.committed == 0
    system.store.failures = []
    again = System()
    again.topic, again.source.topic = system.topic, system.topic
    await again.run_until(lambda: system.topic.committed == 1)
    assert ("r", "d") in again.store.states


async def test_what_cannot_start_is_tried_until_it_can(system: System) -> None:
    attempts = iter([BrokerUnavailable("down"), BrokerUnavailable("down"), None])

    async def start() -> None:
        if error := next(attempts):
            raise error

    system.topic.publish(event())
    run = asyncio.create_task(system.collector.run(starting=[start, system.source.start]))
    async with asyncio.timeout(10):
        await system.store.merged.wait()
    system.collector.stop()
    await run


async def test_finishing_waits_for_the_batch_in_flight(system: System) -> None:
    in_merge, go_on = asyncio.Event(), asyncio.Event()
    merge = system.store.merge

    async def slow(batch: object) -> None:
        in_merge.set()
        await go_on.wait()
        await merge(batch)  # type: ignore[arg-type]

    system.store.merge = slow  # type: ignore[method-assign]
    system.topic.publish(event())
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    async with asyncio.timeout(10):
        await in_merge.wait()
        revoking = asyncio.create_task(system.collector.finish_batch())
        await asyncio.sleep(0)
        assert not revoking.done()
        go_on.set()
        await revoking
    assert system.topic.committed == 1
    system.collector.stop()
    await run


async def test_every_event_is_accounted_for(system: System) -> None:
    results = ("applied", "duplicate", "superseded", "invalid")
    types = ("detail.started", "detail.progressed", "unknown")

    def total() -> float:
        return sum(counted("replog_events_total", type=kind, result=result) for kind in types for result in results)

    before = total()
    late = event(type="detail.progressed", progress={}, eventTime="2021-05-12T12:00:01Z")
    later = event(type="detail.progressed", progress={"totalSize": 1}, eventTime="2021-05-12T12:00:02Z")
    for value in (event(), event(), b"{", later, late, late):
        system.topic.publish(value)
    await system.run_until(lambda: system.topic.committed == 6)
    assert total() == before + 6
