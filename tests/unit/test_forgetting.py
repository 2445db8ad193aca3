"""Forgetting records: what is published, and the wait, over a store that a test controls."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from replog import Publisher
from replog.errors import InvalidEventError
from replog.events import RecordErased
from replog_repair.forgetting import Candidate, Patience, StillKnown, publish, wait
from tests.support.fake_producer import FakeProducer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from replog.store.format.rows import StoredRecord

AT_ONCE = Patience(interval_s=0)


class ForgettingStore:
    """Forgets the records in ``steps``, one a question, and then nothing more."""

    def __init__(self, *steps: set[str]) -> None:
        self.asked: list[set[str]] = []
        self._steps = list(steps)

    async def record(self, record_id: str) -> StoredRecord:
        raise NotImplementedError

    def records(self, task_key: str) -> AsyncIterator[list[StoredRecord]]:
        raise NotImplementedError

    async def forgotten(self, erased_us: Mapping[str, int]) -> set[str]:
        self.asked.append({*erased_us})
        return {*erased_us} & (self._steps.pop(0) if self._steps else set())


async def test_each_record_is_erased_under_its_own_key() -> None:
    """At a time of its own, which the wait asks for."""
    producer, seen = FakeProducer(), list[tuple[int, int]]()
    candidates = [Candidate("a", "t", "FAILED", 3), Candidate("b", None, None, 1)]
    async with Publisher(producer=producer) as publisher:
        erased_us = await publish(publisher, candidates, lambda done, total: seen.append((done, total)))
    assert [(key, event.record_id, event.task_key) for key, event in producer.sent] == [
        (b"a", "a", "t"),
        (b"b", "b", None),
    ]
    assert erased_us == {event.record_id: event.event_us for event in producer.of_type(RecordErased)}
    assert seen == [(1, 2), (2, 2)]


async def test_an_erasure_is_checked_before_it_is_sent() -> None:
    producer = FakeProducer()
    async with Publisher(producer=producer) as publisher:
        with pytest.raises(InvalidEventError, match="record_id is wrong"):
            await publisher.erase("")
    assert producer.sent == []


async def test_the_wait_asks_for_what_is_left_until_nothing_is() -> None:
    store, seen = ForgettingStore({"b"}, set(), {"a", "c"}), list[int]()
    await wait(store, {"a": 1, "b": 2, "c": 3}, lambda done, _: seen.append(done), patience=AT_ONCE)
    assert store.asked == [{"a", "b", "c"}, {"a", "c"}, {"a", "c"}]
    assert seen == [1, 1, 3]


async def test_the_wait_ends_when_nothing_moves_any_more() -> None:
    """Each record that is forgotten gives the others time again."""
    seconds = count()
    store = ForgettingStore(set(), set(), {"a"})
    patience = Patience(patience_s=3, interval_s=0)
    with pytest.raises(StillKnown, match="1 of 2 records"):
        await wait(store, {"a": 1, "b": 2}, lambda *_: None, patience=patience, clock=lambda: float(next(seconds)))
    assert len(store.asked) == 7
