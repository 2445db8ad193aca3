"""The store's port: the same batches have the same effects and end in the same state, in memory and in Redis."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replog.entities import Overview
from replog.records import Effect, Registers
from replog.settings import StoreSettings
from replog.store.client.command import Command
from replog.store.client.connection import Connection
from replog.store.format import detail_codec
from replog.store.format.keys import BUCKETS, RecordKeys, bucket_of
from replog.store.write.batch import Batch
from replog.store.write.outbox import Outbox, buckets_from
from replog.store.write.writer import Writer
from tests.simulation.keyspace import KeyspaceConnection
from tests.support.fakes import MemoryOutbox, MemoryStore
from tests.support.services.redis import remove_keys
from tests.support.store.batches import batch_of, forget
from tests.support.strategies import Event, streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from replog.entities import Record
    from replog.store.client.pipelining import CommandRunner
    from replog.store.write.merge_result import MergeResult
    from replog_collector.pipeline.outcomes import OutboxStore

NONE_COUNTED = Overview(0, 0, 0, None, 0, 0, 0)
States = dict[tuple[str, str | None], Registers]


class Store(Protocol):
    """The port, and a way to look inside."""

    @property
    def outbox(self) -> OutboxStore: ...

    async def merge(self, batch: Batch) -> MergeResult: ...

    async def states(self) -> States: ...


class InMemory:
    def __init__(self) -> None:
        self.outbox = MemoryOutbox()
        self.store = MemoryStore(self.outbox)

    async def merge(self, batch: Batch) -> MergeResult:
        return await self.store.merge(batch)

    async def states(self) -> States:
        return self.store.states


class InRedis:
    """Looks at the stored registers themselves, by the keyspace's words."""

    def __init__(self, connection: CommandRunner) -> None:
        self.connection = connection
        self.outbox = Outbox(connection)
        self.merge = Writer(connection, outbox=True).merge
        self.seen: set[str] = set()

    async def states(self) -> States:
        states: States = {}
        for record_id in ("r1", "r2"):
            keys = RecordKeys(self.connection.prefix, record_id)
            record, details = await self.connection.run(
                [
                    Command("HMGET", [keys.record], ["start", "facts", "outcome", "progress", "last"]),
                    Command("HGETALL", [keys.details]),
                ]
            )
            if record[0]:
                states[record_id, None] = Registers(*(register or b"" for register in record))
            pairs = details.items() if isinstance(details, dict) else zip(details[::2], details[1::2], strict=True)
            for detail_id, packed in pairs:
                states[record_id, detail_id.decode()] = detail_codec.unpack(packed)
        return states


@pytest.fixture(params=["memory", "simulated", "redis_server", "redis_cluster"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield InMemory()
        return
    if request.param == "simulated":
        yield InRedis(KeyspaceConnection("simulated"))
        return
    url, prefix = request.getfixturevalue(request.param).url, f"replog-test-{uuid.uuid4().hex}"
    async with Connection(StoreSettings(redis_url=url, redis_prefix=prefix), timeout_s=5) as connection:
        yield InRedis(connection)
    remove_keys(url, prefix)


STARTED: Event = {
    "type": "detail.started",
    "recordId": "r1",
    "detailId": "d",
    "eventTime": "2021-05-12T12:00:00Z",
}
PROGRESSED: Event = {
    **STARTED,
    "type": "detail.progressed",
    "eventTime": "2021-05-12T12:00:01Z",
    "progress": {"totalSize": 1},
}
LATER: Event = {**PROGRESSED, "eventTime": "2021-05-12T12:00:02Z", "progress": {"totalSize": 2}}


async def test_what_is_new_is_applied(store: Store) -> None:
    batch = batch_of([STARTED, PROGRESSED])
    result = await store.merge(batch)
    assert result.effects == {("detail.started", Effect.APPLIED): 1, ("detail.progressed", Effect.APPLIED): 1}


async def test_what_comes_twice_in_one_batch_is_a_duplicate(store: Store) -> None:
    batch = batch_of([STARTED, STARTED])
    result = await store.merge(batch)
    assert result.effects == {("detail.started", Effect.APPLIED): 1, ("detail.started", Effect.DUPLICATE): 1}


async def test_what_comes_again_in_a_later_batch_is_a_duplicate(store: Store) -> None:
    await store.merge(batch_of([STARTED, LATER]))
    again = batch_of([STARTED])
    result = await store.merge(again)
    assert result.effects == {("detail.started", Effect.DUPLICATE): 1}


async def test_what_comes_late_is_superseded(store: Store) -> None:
    await store.merge(batch_of([STARTED, LATER]))
    late = batch_of([PROGRESSED])
    result = await store.merge(late)
    assert result.effects == {("detail.progressed", Effect.SUPERSEDED): 1}


async def test_an_empty_batch_changes_nothing(store: Store) -> None:
    await store.merge(Batch())
    assert await store.states() == {}


async def test_more_details_than_fit_one_call_are_all_merged(store: Store) -> None:
    batch = batch_of({**STARTED, "detailId": f"d{number}"} for number in range(250))
    result = await store.merge(batch)
    assert result.effects == {("detail.started", Effect.APPLIED): 250}
    assert len(await store.states()) == 250


@pytest.mark.every_topology
@given(st.lists(streams, min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
async def test_both_stores_hold_the_same_after_the_same_batches(
    redis_url: str, redis_prefix: str, batches: list[list[Event]]
) -> None:
    settings_ = StoreSettings(redis_url=redis_url, redis_prefix=redis_prefix)
    async with Connection(settings_, timeout_s=5) as connection:
        real, fake = InRedis(connection), InMemory()
        await forget(connection)
        for events in batches:
            ours, theirs = batch_of(events), batch_of(events)
            real_result, fake_result = await real.merge(ours), await fake.merge(theirs)
            assert real_result.effects == fake_result.effects
            assert sorted(real_result.transitions) == sorted(fake_result.transitions)
        assert await real.states() == await fake.states()
        assert await emptied(real.outbox) == await emptied(fake.outbox)


async def emptied(outbox: OutboxStore) -> list[Record]:
    """The records of all entries but for their details, in the order in which they are read and removed."""
    records: list[Record] = []
    while entries := await outbox.read(buckets_from(range(BUCKETS))):
        records += [entry.record.read()._replace(overview=NONE_COUNTED) for entry in entries]
        await outbox.remove(entries)
    # The sizes of pages differ: between records there is no order.
    return sorted(records, key=lambda record: record.id)


FINISHED: Event = {
    "type": "record.finished",
    "recordId": "r1",
    "taskKey": "t",
    "status": "FAILED",
    "eventTime": "2021-05-12T12:00:00Z",
}


async def test_a_transition_is_in_the_outbox_once(store: Store) -> None:
    for _ in range(2):
        await store.merge(batch_of([FINISHED]))
    assert [(record.id, record.status) for record in await emptied(store.outbox)] == [("r1", "FAILED")]
    assert await emptied(store.outbox) == []


async def test_the_outbox_gives_what_is_behind_a_member(store: Store) -> None:
    for attempt in range(3):
        await store.merge(batch_of([{**FINISHED, "attempt": attempt, "errorReason": str(attempt)}]))
    first, *_ = await store.outbox.read(buckets_from([bucket_of("r1")]))
    second, *_ = await store.outbox.read({first.bucket: first.member})
    assert [entry.record.read().error_reason for entry in (first, second)] == ["0", "1"]
    await store.outbox.remove([second])
    assert [record.error_reason for record in await emptied(store.outbox)] == ["0", "2"]
