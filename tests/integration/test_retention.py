"""Retention on a real Redis: what goes, what stays, and that nothing is left of what went."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from structlog.testing import capture_logs

from replog.store.client.command import Command
from replog.store.client.scripts import DELIST, ENLIST
from replog.store.format.keys import BUCKETS, BucketKeys, RecordKeys, task_keys
from replog.store.maintain.retention import Policy, Retention
from replog.store.read.filters import NO_FILTER, DetailFilter
from replog.store.read.reader import Reader
from replog.store.write.writer import Writer
from tests.support.administered import AdministeredConnection
from tests.support.services.redis import connected
from tests.support.store.batches import batch_of
from tests.support.store.intercepted import Intercepted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from replog.store.client.connection import Connection
    from replog.store.client.pipelining import CommandRunner
    from tests.support.strategies import Event

NOW = datetime(2026, 1, 31, tzinfo=UTC)
POLICY = Policy(days=10, failed_days=20)


class Store:
    """A store whose clock is moved by hand."""

    def __init__(self, connection: Connection, redis_url: str) -> None:
        self.connection = connection
        self.redis_url = redis_url
        self.now = NOW
        self.reader = Reader(connection)
        self.retention = self.retention_of(connection)

    def retention_of(self, connection: CommandRunner) -> Retention:
        return Retention(connection, POLICY, clock=self.clock)

    def clock(self) -> float:
        return self.now.timestamp()

    async def write(self, *events: Event, over: CommandRunner | None = None) -> None:
        await Writer(over or self.connection, clock=self.clock).merge(batch_of(events))

    async def sweep(self, over: CommandRunner | None = None) -> int:
        """After what was written has settled."""
        self.now += timedelta(minutes=2)
        return await (self.retention_of(over) if over else self.retention).sweep()

    async def total(self, record_id: str, **filters: str) -> int | None:
        page = await self.reader.detail_page(record_id, DetailFilter(**filters), 0, 10)
        return None if page is None else page.total

    async def listed(self, task_key: str, status: str = "") -> list[str]:
        page = await self.reader.record_page(task_key, status, 0, 1000)
        return [] if page is None else [row.record_id for row in page.rows]

    async def listed_as_running(self, record_id: str) -> set[str]:
        """In which of its bucket's lists of what runs the record is."""
        bucket = RecordKeys(self.connection.prefix, record_id).bucket
        record, (_, details) = await self.connection.run(
            [
                Command("ZSCORE", [bucket.running], [record_id]),
                Command("SSCAN", [bucket.unfinished], [0, "COUNT", 1000]),
            ]
        )
        listed = (("running", record is not None), ("unfinished", record_id.encode() in details))
        return {name for name, is_in in listed if is_in}

    def keys_of(self, record_id: str) -> set[bytes]:
        """Kinds of keys that there are of a record."""
        with connected(self.redis_url) as client:
            found = client.scan_iter(match=f"{self.connection.prefix}:*:{record_id}", count=1000)
            return {key.split(b":")[-2] for key in found}


@pytest.fixture
async def store(redis_url: str, redis_prefix: str) -> AsyncIterator[Store]:
    async with AdministeredConnection(redis_url, redis_prefix) as connection:
        yield Store(connection, redis_url)


def ago(days: float) -> str:
    return (NOW - timedelta(days=days)).isoformat()


def run(record_id: str, days: float, status: str = "SUCCESS", **fields: Any) -> list[Event]:
    """A record whose last event was so many days ago, with two details."""
    head = {"recordId": record_id, "eventTime": ago(days), **fields}
    detail = {"recordId": record_id, "eventTime": ago(days), "remoteCluster": "dev", "packageName": "p"}
    return [
        {**head, "type": "record.started", "taskKey": fields.get("taskKey", "t")},
        *({**detail, "type": "detail.finished", "detailId": name, "status": "SUCCESS"} for name in "ab"),
        *([{**head, "type": "record.finished", "taskKey": "t", "status": status}] if status != "RUNNING" else []),
    ]


@pytest.mark.parametrize(
    ("status", "days", "stays"),
    [
        ("SUCCESS", 9.9, True),
        ("SUCCESS", 10.1, False),
        ("FAILED", 10.1, True),
        ("FAILED", 20.1, False),
        ("RUNNING", 10.1, True),
        ("RUNNING", 20.1, False),
    ],
)
async def test_each_status_has_its_time(store: Store, status: str, days: float, *, stays: bool) -> None:
    await store.write(*run("r", days, status))
    assert await store.sweep() == (0 if stays else 1)
    assert await store.total("r") == (2 if stays else None)


async def test_nothing_is_left_of_what_was_removed(store: Store) -> None:
    await store.write(*run("r", 11), *run("stays", 1))
    assert len(store.keys_of("r")) == 6
    await store.sweep()
    assert store.keys_of("r") == set()
    assert await store.listed_as_running("r") == set()
    assert store.keys_of("t") == {b"task", b"tasktime", b"taskstat"}
    assert await store.listed("t") == ["stays"]
    assert await store.listed("t", "SUCCESS") == ["stays"]


async def test_a_task_whose_last_record_went_is_unknown(store: Store) -> None:
    await store.write(*run("r", 11))
    await store.sweep()
    assert store.keys_of("t") == set()
    assert await store.reader.record_page("t", "", 0, 10) is None


async def test_a_details_event_keeps_its_record(store: Store) -> None:
    await store.write(*run("r", 11))
    late = {"type": "detail.started", "recordId": "r", "detailId": "c", "eventTime": ago(1)}
    await store.write(late)
    assert await store.sweep() == 0
    assert await store.total("r") == 3


async def test_details_without_a_record_go_after_the_longer_time(store: Store) -> None:
    detail = {"type": "detail.started", "detailId": "d"}
    await store.write({**detail, "recordId": "young", "eventTime": ago(19)})
    await store.write({**detail, "recordId": "old", "eventTime": ago(21)})
    assert await store.sweep() == 1
    assert await store.total("young") == 1
    assert await store.total("old") is None


async def test_a_replay_does_not_bring_the_removed_back(store: Store) -> None:
    events = run("r", 11)
    await store.write(*events)
    await store.sweep()
    for event in events:
        await store.write(event)
    await store.write(*events)
    assert await store.total("r") is None
    assert await store.listed("t") == []


async def test_something_new_brings_the_removed_back(store: Store) -> None:
    await store.write(*run("r", 11))
    await store.sweep()
    await store.write(*run("r", 0, "RUNNING", attempt=1))
    assert await store.total("r") == 2
    assert await store.listed("t", "RUNNING") == ["r"]


async def test_what_is_being_written_is_left_alone(store: Store) -> None:
    await store.write(*run("r", 11))
    assert await store.retention.sweep() == 0
    assert await store.sweep() == 1


async def die() -> None:
    raise RuntimeError("died")


async def test_a_sweep_that_died_half_way_is_finished_by_the_next(store: Store) -> None:
    await store.write(*run("r", 11), *run("stays", 1))
    with pytest.raises(RuntimeError, match="died"):
        await store.sweep(over=Intercepted(store.connection, DELIST, before=die))
    assert await store.listed("t") == ["stays"]
    assert await store.sweep() == 0
    page = await store.reader.record_page("t", "", 0, 10)
    assert page is not None
    assert page.total == 1


async def test_a_record_that_came_back_meanwhile_stays_listed(store: Store) -> None:
    await store.write(*run("r", 11))
    with pytest.raises(RuntimeError, match="died"):
        await store.sweep(over=Intercepted(store.connection, DELIST, before=die))
    await store.write(*run("r", 0))
    await store.sweep()
    assert await store.listed("t") == ["r"]


async def test_more_records_than_one_step_takes_all_go(store: Store) -> None:
    store.retention = Retention(store.connection, POLICY, clock=store.clock, records_a_step=2)
    old = of_one_bucket(store.connection.prefix, 7)
    for number, record_id in enumerate(old):
        await store.write(*run(record_id, 12, "SUCCESS" if number % 2 else "FAILED"))
    assert await store.sweep() == 3
    assert sorted(await store.listed("t")) == sorted(old[::2])


def of_one_bucket(prefix: str, number: int) -> list[str]:
    """Ids of records whose keys are in the same bucket."""
    names = (f"old{i}" for i in count())
    return list(islice((name for name in names if RecordKeys(prefix, name).bucket.number == 0), number))


async def test_totals_are_whole_until_the_moment_of_removal(store: Store) -> None:
    await store.write(*run("r", 11))
    assert await store.total("r", package_name="p") == 2
    await store.sweep()
    assert await store.total("r", package_name="p") is None
    assert await store.reader.detail_page("r", NO_FILTER, 0, 10) is None


async def test_the_memory_of_the_removed_is_forgotten_in_time(store: Store) -> None:
    await store.write(*run("r", 11))
    await store.sweep()
    store.now += timedelta(days=2 * POLICY.failed_days)
    await store.sweep()
    await store.write(*run("r", 11))
    assert await store.total("r") == 2


async def test_of_what_never_ended_nothing_is_left_either(store: Store) -> None:
    head = {"recordId": "r", "eventTime": ago(21)}
    await store.write(
        {**head, "type": "record.started", "taskKey": "t"}, {**head, "type": "detail.started", "detailId": "d"}
    )
    assert await store.listed_as_running("r") == {"running", "unfinished"}
    assert await store.sweep() == 1
    assert await store.listed_as_running("r") == set()


def old(record_id: str, task_key: str = "t") -> Event:
    """A record whose time has come."""
    event_time = "2025-01-01T00:00:00Z"
    return {"type": "record.started", "recordId": record_id, "taskKey": task_key, "eventTime": event_time}


async def test_garbage_in_the_keys_it_goes_by_is_removed_and_holds_nothing_up(store: Store) -> None:
    """In each bucket; everything else is removed as ever."""
    records = [f"r{number}" for number in range(100)]
    await store.write(*map(old, records))
    buckets = [BucketKeys(store.connection.prefix, number) for number in range(BUCKETS)]
    garbage = [
        b"",
        b"x",
        b"\xc1",
        msgpack.packb([1, 2, 3]),
        msgpack.packb([b"s", b"o", [b"\xff"]]),
        msgpack.packb(None),
    ]
    await store.connection.run([Command("ZADD", [bucket.due], [-5, b"\xff\xfe"]) for bucket in buckets])
    await store.connection.run([Command("ZADD", [bucket.removed], [5, b"\xff\xfe"]) for bucket in buckets])
    left = [Command("HSET", [of.leaving], [f"g{n}", entry]) for of in buckets for n, entry in enumerate(garbage)]
    await store.connection.run(left)
    with capture_logs() as lines:
        assert await store.sweep() == len(records)
    assert {line["event"] for line in lines} == {"garbage_removed"}
    assert await store.listed("t") == []
    assert await store.connection.run([Command("HLEN", [of.leaving]) for of in buckets]) == [0] * BUCKETS
    assert await store.connection.run([Command("ZCARD", [of.due]) for of in buckets]) == [0] * BUCKETS


@pytest.mark.parametrize("kind", ["due", "removed", "leaving"])
async def test_a_key_of_another_type_holds_up_nothing_but_itself(store: Store, kind: str) -> None:
    records = [f"r{number}" for number in range(100)]
    await store.write(*map(old, records))
    broken = RecordKeys(store.connection.prefix, "r0").bucket
    elsewhere = [name for name in records if RecordKeys(store.connection.prefix, name).bucket.number != broken.number]
    key = getattr(broken, kind)
    await store.connection.run([Command("DEL", [key])])
    await store.connection.run([Command("SET", [key], ["x"])])
    with capture_logs() as lines:
        assert await store.sweep() >= len(elsewhere)
    assert {line["event"] for line in lines} == {"sweep_refused"}
    assert not {*await store.listed("t")} & {*elsewhere}


async def test_a_record_that_redis_refuses_holds_up_no_other_of_its_bucket(store: Store) -> None:
    """Nor their being taken off the lists."""
    records = [f"r{number}" for number in range(500)]
    await store.write(*map(old, records))
    keys = RecordKeys(store.connection.prefix, "r0")
    await store.connection.run([Command("DEL", [keys.record])])
    await store.connection.run([Command("SET", [keys.record], ["x"])])
    with capture_logs() as lines:
        assert await store.sweep() == len(records) - 1
    assert {line["event"] for line in lines} == {"sweep_refused"}
    by_time = task_keys(store.connection.prefix, "t")[1]
    assert await store.connection.run([Command("ZRANGE", [by_time], [0, -1])]) == [[b"r0"]]


async def test_a_list_that_redis_refuses_holds_up_no_other(store: Store) -> None:
    await store.write(*[old(f"r{number}", f"t{number}") for number in range(100)])
    entries = task_keys(store.connection.prefix, "t0")[0]
    await store.connection.run([Command("DEL", [entries])])
    await store.connection.run([Command("SET", [entries], ["x"])])
    with capture_logs() as lines:
        assert await store.sweep() == 100
        assert await store.sweep() == 0
    assert {line["event"] for line in lines} == {"sweep_refused"}
    for number in range(1, 100):
        assert await store.listed(f"t{number}") == []


#: Further ahead than retention keeps anything.
AHEAD_DAYS = 400 * 365


@pytest.mark.parametrize("kind", ["record.finished", "record.started", "detail.started"])
async def test_what_is_dated_far_ahead_goes_by_when_it_was_written(store: Store, kind: str) -> None:
    """With its details, from its task's list, and however often its events come again."""
    ahead = {"recordId": "r", "eventTime": ago(-AHEAD_DAYS), "type": kind, "status": "SUCCESS", "taskKey": "t"}
    events = [*run("r", 0), {**ahead, "detailId": "late"} if kind.startswith("detail") else ahead]
    await store.write(*events)
    store.now += timedelta(days=POLICY.days - 1)
    assert await store.sweep() == 0
    # Nothing new: it does not count as written again.
    await store.write(*events)
    store.now += timedelta(days=1)
    assert await store.sweep() == 1
    assert store.keys_of("r") == set()
    for replayed in (events, events[::-1], [events[-1]]):
        await store.write(*replayed)
        assert await store.total("r") is None
        assert await store.listed("t") == []


async def test_what_is_written_now_and_then_stays_although_it_is_dated_far_ahead(store: Store) -> None:
    for day in range(0, 100, 5):
        store.now = NOW + timedelta(days=day)
        await store.write(*run("r", -AHEAD_DAYS - day))
        assert await store.sweep() == 0
    assert await store.total("r") == 2


async def test_the_memory_of_what_was_dated_far_ahead_is_forgotten_in_time(store: Store) -> None:
    """As any other's; until then only what is dated further ahead brings it back."""
    await store.write(*run("r", -AHEAD_DAYS))
    store.now += timedelta(days=POLICY.failed_days)
    assert await store.sweep() == 1
    await store.write(*run("r", -10, attempt=1))
    assert await store.total("r") is None
    await store.write(*run("r", -AHEAD_DAYS - 1))
    assert await store.total("r") == 2
    store.now += timedelta(days=POLICY.failed_days)
    assert await store.sweep() == 1
    store.now += timedelta(days=2 * POLICY.failed_days)
    await store.sweep()
    bucket = RecordKeys(store.connection.prefix, "r").bucket
    left = [Command("EXISTS", [key]) for key in (bucket.due, bucket.removed, bucket.claimed, bucket.leaving)]
    assert await store.connection.run(left) == [0, 0, 0, 0]
    await store.write(*run("r", 0))
    assert await store.total("r") == 2


async def test_a_store_of_before_that_has_records_due_far_ahead_loses_them_in_time(store: Store) -> None:
    """Versions before took events' times as they are."""
    events = run("r", -AHEAD_DAYS)
    await store.write(*events)
    keys = RecordKeys(store.connection.prefix, "r")
    claimed_ms = int((NOW + timedelta(days=AHEAD_DAYS)).timestamp() * 1000)
    await store.connection.run(
        [Command("ZADD", [keys.bucket.due], [claimed_ms, "r"]), Command("HDEL", [keys.record], ["ahead"])]
    )
    assert await store.sweep() == 0
    store.now += timedelta(days=POLICY.failed_days)
    assert await store.sweep() == 1
    await store.write(*events)
    assert await store.total("r") is None


async def test_a_record_goes_from_the_lists_that_were_behind_when_it_was_removed(store: Store) -> None:
    """Its writer died between the record and the lists, and did not come back."""
    await store.write(*run("r", 12, "RUNNING"), *run("stays", 1))
    with pytest.raises(RuntimeError, match="died"):
        await store.write(*run("r", 11), over=Intercepted(store.connection, ENLIST, before=die))
    assert await store.listed("t", "RUNNING") == ["r"]
    assert await store.sweep() == 1
    assert await store.listed("t") == ["stays"]
