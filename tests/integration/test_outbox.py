"""The outbox holds each transition that merges made, from the moment of the merge until it is removed."""

from __future__ import annotations

import uuid
from collections import defaultdict
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from replog.errors import StoreRefused, StoreUnavailable
from replog.settings import StoreSettings
from replog.store.client.command import Command
from replog.store.client.connection import Connection
from replog.store.client.scripts import MERGE
from replog.store.format.keys import BUCKETS, BucketKeys, RecordKeys, bucket_of
from replog.store.maintain.restoring import Restoring
from replog.store.maintain.retention import Policy, Retention
from replog.store.write.outbox import ENTRIES_A_BUCKET, Outbox, OutboxEntry, buckets_from
from replog.store.write.writer import Writer
from tests.support import model
from tests.support.store.batches import batch_of
from tests.support.strategies import Event, events, record_events
from tests.support.topic import KnownEvents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.administered import AdministeredConnection

pytestmark = pytest.mark.every_topology
#: Mostly events of records themselves: those of details end no record.
streams = st.lists(st.one_of(record_events, record_events, record_events, events), min_size=1, max_size=8)
on_redis = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)

FINISHED: Event = {
    "type": "record.finished",
    "recordId": "r",
    "taskKey": "t",
    "status": "FAILED",
    "errorReason": "disk full",
    "eventTime": "2021-05-12T12:00:00Z",
}
REOPENED: Event = {
    "type": "record.started",
    "recordId": "r",
    "taskKey": "t",
    "attempt": 1,
    "eventTime": "2021-05-12T12:01:00Z",
}
DETAIL: Event = {
    "type": "detail.finished",
    "recordId": "r",
    "detailId": "d",
    "status": "FAILED",
    "eventTime": "2021-05-12T11:59:00Z",
}


def connected(redis_url: str, redis_prefix: str) -> Connection:
    return Connection(StoreSettings(redis_url=redis_url, redis_prefix=redis_prefix), timeout_s=10)


async def everything(connection: Connection) -> list[OutboxEntry]:
    """All entries of the outbox, read page by page."""
    outbox, found, after = Outbox(connection), list[OutboxEntry](), buckets_from(range(BUCKETS))
    while after:
        entries = await outbox.read(after)
        found += entries
        after = {entry.bucket: entry.member for entry in entries}
    return found


@given(written=st.lists(streams, min_size=1, max_size=6))
@on_redis
async def test_it_holds_the_transitions_that_the_oracle_sees(
    redis_url: str, redis_prefix: str, written: list[list[Event]]
) -> None:
    """One for each batch that changes a record's outcome so, in order; and none of a replay."""
    unique = uuid.uuid4().hex
    streams_of = [[{**event, "recordId": f"{event['recordId']}-{unique}"} for event in stream] for stream in written]
    known: dict[str, list[Event]] = defaultdict(list)
    expected: dict[str, list[Any]] = defaultdict(list)
    async with connected(redis_url, redis_prefix) as connection:
        writer = Writer(connection, outbox=True)
        for stream in [*streams_of, *streams_of]:
            await writer.merge(batch_of(stream))
            for event in stream:
                if not event["type"].startswith("record."):
                    continue
                known[event["recordId"]].append(event)
            for record_id in {event["recordId"] for event in stream} & known.keys():
                own = [event for event in stream if event["recordId"] == record_id and event["type"][0] == "r"]
                told = model.transition(known[record_id][: len(known[record_id]) - len(own)], known[record_id])
                if told:
                    expected[record_id].append((told["status"], told["endMs"], told["errorReason"]))
        found: dict[str, list[Any]] = defaultdict(list)
        entries = [entry for entry in await everything(connection) if entry.record.record_id.endswith(unique)]
        for entry in entries:
            record = entry.record.read()
            found[record.id].append((record.status, record.end_ms, record.error_reason))
        assert found == expected
        await Outbox(connection).remove(entries)
        assert [entry for entry in await everything(connection) if entry.record.record_id.endswith(unique)] == []


async def test_a_writer_without_it_leaves_no_key(connection: AdministeredConnection) -> None:
    await Writer(connection).merge(batch_of([FINISHED]))
    keys = [BucketKeys(connection.prefix, number).outbox for number in range(BUCKETS)]
    assert sum(await connection.run([Command("EXISTS", [key]) for key in keys])) == 0


class ReplyLost:
    """The store, but the answer to the first merge call is lost."""

    def __init__(self, connection: Connection) -> None:
        self.prefix = connection.prefix
        self.lost = False
        self._connection = connection

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        answers = await self._connection.run(calls)
        if not self.lost and any(call.command is MERGE for call in calls):
            self.lost = True
            raise StoreUnavailable("connection", "down")
        return answers


async def test_a_lost_reply_loses_no_entry(connection: AdministeredConnection) -> None:
    """The merge that follows sees nothing of it."""
    writer = Writer(ReplyLost(connection), outbox=True)
    with pytest.raises(StoreUnavailable):
        await writer.merge(batch_of([FINISHED]))
    assert (await writer.merge(batch_of([FINISHED]))).transitions == []
    assert [entry.record.read().status for entry in await everything(connection)] == ["FAILED"]


async def test_what_is_removed_is_what_was_read(connection: AdministeredConnection) -> None:
    """A transition that came meanwhile stays."""
    writer = Writer(connection, outbox=True)
    await writer.merge(batch_of([FINISHED]))
    read = await everything(connection)
    await writer.merge(batch_of([REOPENED]))
    await Outbox(connection).remove(read)
    assert [entry.record.read().status for entry in await everything(connection)] == ["RUNNING"]


async def test_outcomes_of_one_record_are_in_order_across_pages(connection: AdministeredConnection) -> None:
    writer, attempts = Writer(connection, outbox=True), 2 * ENTRIES_A_BUCKET
    for attempt in range(attempts):
        await writer.merge(batch_of([{**FINISHED, "attempt": attempt, "errorReason": str(attempt)}]))
    assert [entry.record.read().error_reason for entry in await everything(connection)] == [*map(str, range(attempts))]


async def test_roll_ups_count_what_was_merged_after_the_record(connection: AdministeredConnection) -> None:
    """A batch may have more details than the call that ends the record."""
    details = [{**DETAIL, "detailId": f"d{number}"} for number in range(50)]
    await Writer(connection, outbox=True).merge(batch_of([FINISHED, *details]))
    (entry,) = await everything(connection)
    assert entry.record.read().overview.failed == 50


async def test_an_entry_outlives_its_record(connection: AdministeredConnection) -> None:
    """With the roll-up that the record had at its end."""
    await Writer(connection, outbox=True, clock=lambda: 0.0).merge(batch_of([DETAIL, FINISHED]))
    assert await Retention(connection, Policy(1, 1)).sweep() == 1
    (entry,) = await everything(connection)
    record = entry.record.read()
    assert (record.status, record.task_key, record.overview.failed) == ("FAILED", "t", 1)


def erased(time: str) -> Event:
    return {"type": "record.erased", "recordId": "r", "eventTime": f"2021-05-12T{time}Z"}


@pytest.mark.parametrize("is_removed", [False, True])
async def test_an_erasure_removes_the_entries_of_its_record(
    connection: AdministeredConnection, *, is_removed: bool
) -> None:
    """All of them and no other of the bucket, also after retention has removed the record."""
    beside = next(name for name in (f"r{number}" for number in count()) if bucket_of(name) == bucket_of("r"))
    await Writer(connection, outbox=True).merge(batch_of([{**FINISHED, "recordId": beside}]))
    writer = Writer(connection, outbox=True, clock=lambda: 0.0)
    await writer.merge(batch_of([FINISHED]))
    await writer.merge(batch_of([REOPENED]))
    if is_removed:
        assert await Retention(connection, Policy(1, 1)).sweep() == 1
    assert [entry.record.record_id for entry in await everything(connection)] == ["r", "r", beside]
    await Writer(connection).merge(batch_of([erased("12:02:00")]))
    assert [entry.record.record_id for entry in await everything(connection)] == [beside]


async def test_an_erasure_that_changes_nothing_removes_no_entry(connection: AdministeredConnection) -> None:
    writer = Writer(connection, outbox=True)
    await writer.merge(batch_of([erased("11:00:00"), FINISHED]))
    for time in ("11:00:00", "10:00:00"):
        await writer.merge(batch_of([erased(time)]))
    assert len(await everything(connection)) == 1


async def test_an_outcome_that_is_later_than_an_erasure_comes_back(connection: AdministeredConnection) -> None:
    """With what is read from the topic again."""
    await Writer(connection, outbox=True).merge(batch_of([FINISHED]))
    (before,) = await everything(connection)
    await Writer(connection, outbox=True).merge(batch_of([erased("11:59:59")]))
    assert await everything(connection) == []
    await Restoring(connection, KnownEvents([FINISHED]), ahead_s=0, outbox=True).restore()
    (after,) = await everything(connection)
    assert after.record.read() == before.record.read()


async def test_an_erasure_that_cannot_empty_the_outbox_is_refused_and_erases_nothing(
    connection: AdministeredConnection,
) -> None:
    keys = RecordKeys(connection.prefix, "r")
    await Writer(connection).merge(batch_of([FINISHED]))
    await connection.run([Command("SET", [keys.bucket.outbox], ["x"])])
    with pytest.raises(StoreRefused):
        await Writer(connection).merge(batch_of([erased("12:02:00")]))
    assert await connection.run([Command("EXISTS", [key]) for key in (keys.record, keys.bucket.erased)]) == [1, 0]


@pytest.mark.parametrize("garbage", [b"no entry", b"r\0\0\0", b"r\0\xff", b"\xff\0" + bytes(11) + b"\x90"])
async def test_what_is_no_entry_is_removed(connection: AdministeredConnection, garbage: bytes) -> None:
    key = RecordKeys(connection.prefix, "r").bucket.outbox
    await Writer(connection, outbox=True).merge(batch_of([FINISHED]))
    await connection.run([Command("ZADD", [key], [0, garbage])])
    with capture_logs() as lines:
        assert len(await everything(connection)) == 1
    assert [(line["event"], line["key"]) for line in lines] == [("garbage_removed", key.decode())]
    assert await connection.run([Command("ZCARD", [key])]) == [1]


async def test_what_is_no_entry_hides_none_behind_it(connection: AdministeredConnection) -> None:
    """A page with fewer entries than a page may have is the last one."""
    key = RecordKeys(connection.prefix, "r").bucket.outbox
    for attempt in range(ENTRIES_A_BUCKET):
        await Writer(connection, outbox=True).merge(batch_of([{**FINISHED, "attempt": attempt}]))
    await connection.run([Command("ZADD", [key], [0, f"a{number}", 0, f"b{number}"]) for number in range(20)])
    assert len(await Outbox(connection).read(buckets_from([bucket_of("r")]))) == ENTRIES_A_BUCKET


async def test_a_key_of_another_type_is_removed_and_nothing_is_stored_before(
    connection: AdministeredConnection,
) -> None:
    """So that the events that were refused make the transition when they come again."""
    key = RecordKeys(connection.prefix, "r").bucket.outbox
    writer = Writer(connection, outbox=True)
    await connection.run([Command("SET", [key], ["x"])])
    with pytest.raises(StoreRefused):
        await writer.merge(batch_of([FINISHED]))
    with capture_logs() as lines:
        assert await Outbox(connection).read(buckets_from([bucket_of("r")])) == []
    assert [(line["event"], line["key"]) for line in lines] == [("garbage_removed", key.decode())]
    await writer.merge(batch_of([FINISHED]))
    assert len(await everything(connection)) == 1
