"""Collectors publish what the outbox holds before they commit, and remove what they published."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from replog.errors import BrokerUnavailable, StoreUnavailable
from replog_collector.periodic_task import publish_left
from replog_collector.pipeline.outcomes import LEFT_AFTER_S, OutcomePublishing
from tests.support.fakes import MemoryOutbox, MemoryOutcomeTopic, MemoryStore
from tests.support.store.batches import batch_of

if TYPE_CHECKING:
    from tests.support.strategies import Event

FINISHED: Event = {
    "type": "record.finished",
    "recordId": "r",
    "taskKey": "t",
    "status": "FAILED",
    "eventTime": "2021-05-12T12:00:00Z",
}


class Parts:
    def __init__(self) -> None:
        self.outbox = MemoryOutbox()
        self.store = MemoryStore(self.outbox)
        self.topic = MemoryOutcomeTopic()
        self.now_s = 0.0
        self.publishing = OutcomePublishing(self.outbox, self.topic, source="/replog/events", clock=lambda: self.now_s)

    async def merge(self, *events: Event) -> None:
        await self.store.merge(batch_of(events))

    @property
    def waiting(self) -> int:
        return sum(map(len, self.outbox.entries.values()))

    @property
    def published(self) -> list[tuple[str, str]]:
        return [(str(event.get_subject()), event.get_type()) for event in self.topic.events]


@pytest.fixture
def parts() -> Parts:
    return Parts()


def counted(status: str) -> float:
    return REGISTRY.get_sample_value("replog_outcomes_published_total", {"status": status}) or 0.0


async def test_each_outcome_is_published_once_and_removed(parts: Parts) -> None:
    before = counted("FAILED")
    await parts.merge(FINISHED, {**FINISHED, "recordId": "r2"})
    for _ in range(2):
        await parts.publishing.publish(["r", "r2"])
    assert sorted(parts.published) == [("r", "replog.record.failed"), ("r2", "replog.record.failed")]
    assert (parts.waiting, counted("FAILED")) == (0, before + 2)


async def test_outcomes_of_one_record_are_published_in_order(parts: Parts) -> None:
    reopened = {**FINISHED, "type": "record.started", "attempt": 1}
    del reopened["status"]
    for event in (FINISHED, reopened, {**FINISHED, "attempt": 1, "status": "SUCCESS"}):
        await parts.merge(event)
    await parts.publishing.publish(["r"])
    assert [kind.rpartition(".")[2] for _, kind in parts.published] == ["failed", "reopened", "succeeded"]


async def test_what_the_topic_does_not_take_stays(parts: Parts) -> None:
    parts.topic.failures = [BrokerUnavailable("away")]
    await parts.merge(FINISHED)
    with pytest.raises(BrokerUnavailable):
        await parts.publishing.publish(["r"])
    assert (parts.waiting, parts.published) == (1, [])


async def test_what_could_not_be_removed_is_published_again_with_the_same_id(parts: Parts) -> None:
    await parts.merge(FINISHED)
    remove, parts.outbox.remove = parts.outbox.remove, failing  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreUnavailable):
        await parts.publishing.publish(["r"])
    parts.outbox.remove = remove  # type: ignore[method-assign]
    await parts.publishing.publish(["r"])
    first, second = parts.topic.events
    assert (first.get_id(), first.get_data(), parts.waiting) == (second.get_id(), second.get_data(), 0)


async def failing(_: object) -> None:
    raise StoreUnavailable("connection", "down")


async def test_records_of_other_buckets_are_left_alone(parts: Parts) -> None:
    await parts.merge(FINISHED)
    await parts.publishing.publish(["another"])
    assert parts.waiting == 1


async def test_only_what_is_old_counts_as_left_behind(parts: Parts) -> None:
    """Also behind an entry that is not."""
    parts.outbox.clock_ms = 1000
    await parts.merge({**FINISHED, "attempt": 1})
    await parts.merge({**FINISHED, "recordId": "r2"})
    parts.outbox.clock_ms = 0
    await parts.merge({**FINISHED, "attempt": 2})
    parts.now_s = LEFT_AFTER_S + 0.5
    await parts.publishing.publish_left()
    assert [json.loads(event.get_data() or b"")["id"] for event in parts.topic.events] == ["r"]  # type: ignore[arg-type]
    assert parts.waiting == 2
    parts.now_s = LEFT_AFTER_S + 1
    await parts.publishing.publish_left()
    assert parts.waiting == 0


async def test_outcomes_that_kafka_refuses_are_counted_until_it_takes_them(parts: Parts) -> None:
    await parts.merge(FINISHED, {**FINISHED, "recordId": "r2"})
    parts.now_s = LEFT_AFTER_S + 1
    parts.topic.failures = [BrokerUnavailable("down")]
    for waiting in (2, 0):
        await publish_left(parts.publishing)
        assert REGISTRY.get_sample_value("replog_outcomes_waiting") == waiting
