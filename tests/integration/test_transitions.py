"""Merges tell which records they ended or reopened: each transition once, by one merge, and replays none."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replog.errors import StoreUnavailable
from replog.events import parse
from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from replog.store.client.scripts import ENLIST
from replog.store.write.batch import Batch
from replog.store.write.writer import Writer
from tests.support import model
from tests.support.strategies import Event, events, record_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replog.store.client.command import Command
    from replog.store.write.merge_result import RecordTransition

#: Mostly events of records themselves: those of details end no record.
streams = st.lists(st.one_of(record_events, record_events, record_events, events), min_size=1, max_size=8)
batches = st.lists(streams, min_size=1, max_size=6)
on_redis = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
pytestmark = pytest.mark.every_topology


def connected(redis_url: str, redis_prefix: str) -> Connection:
    return Connection(StoreSettings(redis_url=redis_url, redis_prefix=redis_prefix), timeout_s=10)


def batch_of(written: Iterable[Event]) -> Batch:
    batch = Batch()
    for event in written:
        batch.add(parse(json.dumps(event).encode()))
    return batch


def of_new_records(written: list[list[Event]]) -> list[list[Event]]:
    """The same events of records that no other example has."""
    unique = uuid.uuid4().hex
    return [[{**event, "recordId": f"{event['recordId']}-{unique}"} for event in stream] for stream in written]


def by_record(written: Iterable[Event]) -> dict[str, list[Event]]:
    """The events of records themselves."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in written:
        if event["type"].startswith("record."):
            found[event["recordId"]].append(event)
    return found


def shown(transitions: Iterable[RecordTransition]) -> dict[str, dict[str, Any]]:
    """Transitions by record, of which each has one at most, as the oracle shows them."""
    transitions = list(transitions)
    found = {
        one.record_id: {
            "taskKey": one.task_key,
            "before": one.before,
            "status": one.status,
            "endMs": one.end_ms,
            "errorReason": one.error_reason,
        }
        for one in transitions
    }
    assert len(found) == len(transitions)
    return found


@given(written=batches, alternating=st.booleans())
@on_redis
async def test_each_batch_tells_what_the_oracle_says(
    redis_url: str, redis_prefix: str, written: list[list[Event]], *, alternating: bool
) -> None:
    streams_of = of_new_records(written)
    async with connected(redis_url, redis_prefix) as connection:
        writers = [Writer(connection), Writer(connection)]
        known: list[Event] = []
        for number, stream in enumerate(streams_of):
            result = await writers[number % 2 if alternating else 0].merge(batch_of(stream))
            before, after = by_record(known), by_record([*known, *stream])
            expected = {one: model.transition(before.get(one, []), after[one]) for one in after}
            assert shown(result.transitions) == {one: told for one, told in expected.items() if told}
            known += stream
        for stream in streams_of:
            assert (await writers[0].merge(batch_of(stream))).transitions == []


@given(written=batches, replayed=st.lists(st.integers(0, 5), max_size=3))
@on_redis
async def test_merges_at_once_tell_each_transition_once(
    redis_url: str, redis_prefix: str, written: list[list[Event]], replayed: list[int]
) -> None:
    """By order, the transitions of a record are a chain that ends with its state."""
    streams_of = of_new_records(written)
    sent = [*streams_of, *(streams_of[number % len(streams_of)] for number in replayed)]
    async with connected(redis_url, redis_prefix) as connection:
        results = await asyncio.gather(*(Writer(connection).merge(batch_of(stream)) for stream in sent))
    chains: dict[str, list[RecordTransition]] = defaultdict(list)
    for transition in sorted((one for result in results for one in result.transitions), key=lambda one: one.order):
        chains[transition.record_id].append(transition)
    for record_id, record in by_record(event for stream in streams_of for event in stream).items():
        assert_ends_with(chains.pop(record_id, []), model.Entity(record).outcome())
    assert chains == {}


def assert_ends_with(chain: Sequence[RecordTransition], outcome: dict[str, Any]) -> None:
    """Each transition begins where the one before it led to, and the last is to ``outcome``."""
    for earlier, later in pairwise(chain):
        assert earlier.order < later.order
        assert later.before == earlier.status
        assert earlier.ended or later.ended
    if not chain:
        assert outcome["status"] == "RUNNING"
        return
    assert chain[0].before in {None, "RUNNING"}
    last = chain[-1]
    end_ms = None if outcome["endTime"] is None else outcome["endTime"] // 1000
    assert (last.status, last.end_ms, last.error_reason) == (outcome["status"], end_ms, outcome["errorReason"])


class FailingOnce:
    """The store, but the first call that brings up a task's list fails."""

    def __init__(self, connection: Connection) -> None:
        self.prefix = connection.prefix
        self.failed = False
        self._connection = connection

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        if not self.failed and any(call.command is ENLIST for call in calls):
            self.failed = True
            raise StoreUnavailable("connection", "down")
        return await self._connection.run(calls)


FINISHED: Event = {
    "type": "record.finished",
    "recordId": "r",
    "taskKey": "t",
    "status": "SUCCESS",
    "eventTime": "2021-05-12T12:00:00Z",
}


async def test_a_merge_that_fails_after_the_store_answered_tells_it_with_the_next(
    redis_url: str, redis_prefix: str
) -> None:
    async with connected(redis_url, redis_prefix) as connection:
        writer = Writer(FailingOnce(connection))
        with pytest.raises(StoreUnavailable):
            await writer.merge(batch_of([FINISHED]))
        told = [(await writer.merge(batch_of([FINISHED]))).transitions for _ in range(2)]
    assert [[one.status for one in transitions] for transitions in told] == [["SUCCESS"], []]


async def test_events_of_details_end_no_record(redis_url: str, redis_prefix: str) -> None:
    detail = {**FINISHED, "type": "detail.finished", "detailId": "d"}
    async with connected(redis_url, redis_prefix) as connection:
        writer = Writer(connection)
        assert (await writer.merge(batch_of([detail]))).transitions == []
        assert [one.before for one in (await writer.merge(batch_of([detail, FINISHED]))).transitions] == [None]
