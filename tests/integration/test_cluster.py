"""A slot that moves from one master to another under load: nothing is lost, and no answer is wrong meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest
from redis.crc import key_slot

from replog.errors import RecoverableError, StoreUnavailable
from replog.settings import StoreSettings
from replog.store.client.command import Command
from replog.store.client.connection import Connection
from replog.store.format.keys import BUCKETS, RecordKeys, task_bucket
from replog.store.read.filters import NO_FILTER, DetailFilter
from replog.store.read.reader import Reader
from replog.store.read.tasks.task_pages import Tasks
from replog.store.write.writer import Writer
from tests.support.model import Model
from tests.support.services.redis import remove_keys
from tests.support.services.redis_cluster import MASTERS
from tests.support.store.answers import answers, expected, shown_details, without_stale
from tests.support.store.batches import batch_of, many_events
from tests.support.store.indexes import indexed, to_be_indexed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.services.redis_cluster import RedisCluster
    from tests.support.strategies import Event

DEADLINE_S = 60.0
BATCH_EVENTS = 50
#: The record whose bucket moves; its events go on all the time.
BUSY = "r0"


@pytest.fixture
async def connection(redis_cluster: RedisCluster) -> AsyncIterator[Connection]:
    prefix = f"replog-test-{uuid.uuid4().hex}"
    settings = StoreSettings(redis_url=redis_cluster.url, redis_prefix=prefix)
    async with Connection(settings, timeout_s=5) as connection:
        yield connection
    remove_keys(redis_cluster.url, prefix)


async def merge(connection: Connection, events: list[Event]) -> None:
    """Merge ``events`` as a collector does: again, until nothing fails."""
    async with asyncio.timeout(DEADLINE_S):
        for start in range(0, len(events), BATCH_EVENTS):
            await merge_batch(connection, events[start : start + BATCH_EVENTS])


async def merge_batch(connection: Connection, events: list[Event]) -> None:
    while True:
        try:
            await Writer(connection).merge(batch_of(events))
        except RecoverableError:
            await asyncio.sleep(0.01)
        else:
            return


class Load:
    """Writes ``stream`` over and over, and reads a record that nothing happens to, until told to stop."""

    def __init__(self, connection: Connection, stream: list[Event], settled: list[Event]) -> None:
        self.connection = connection
        self.stream = stream
        self.model = Model(settled)
        (self.record_id,) = self.model.record_ids
        self.answered = 0
        self.asked = 0
        self.refused: set[str] = set()
        self.stopped = False

    async def write(self) -> None:
        while not self.stopped:
            await merge(self.connection, self.stream)

    async def read(self) -> None:
        while not self.stopped:
            self.asked += 1
            try:
                await self._read()
            except StoreUnavailable as error:
                self.refused.add(error.kind)
                await asyncio.sleep(0.001)
            else:
                self.answered += 1

    async def _read(self) -> None:
        reader = Reader(self.connection)
        # Of each bucket, the moving one as well.
        await Tasks(self.connection).page("t", "", 0, 100)
        await reader.detail_page(BUSY, NO_FILTER, 0, 100)
        for flt in (NO_FILTER, DetailFilter(cluster_name="a"), DetailFilter(package_name="p"), DetailFilter(path="x")):
            page = await reader.detail_page(self.record_id, flt, 0, 100)
            assert page is not None
            found = shown_details(page.rows)
            assert page.total == len(found)
            assert without_stale(found) == without_stale(self._expected(flt))
        assert await reader.overview(self.record_id) is not None

    def _expected(self, flt: DetailFilter) -> list[dict[str, Any]]:
        return self.model.details(
            self.record_id, clusterName=flt.cluster_name, packageName=flt.package_name, path=flt.path
        )

    async def goes_on(self) -> None:
        """Return once two more reads have ended: the second began after this was called."""
        before = self.asked
        while self.asked < before + 2:
            await asyncio.sleep(0.001)


def neighbour(record_id: str) -> str:
    """Another record of the same bucket."""
    bucket = crc32(record_id.encode()) % BUCKETS
    return next(name for name in map("s{}".format, range(10_000)) if crc32(name.encode()) % BUCKETS == bucket)


def details_of(record_id: str) -> list[Event]:
    return [
        {
            "type": "detail.started",
            "recordId": record_id,
            "detailId": f"d{number}",
            "eventTime": f"2021-05-12T12:00:{number:02}Z",
            "remoteCluster": ("a", "ab", "b")[number % 3],
            "packageName": ("p", "pq", "q")[number % 3],
            **({"path": "x"} if number % 2 else {}),
        }
        for number in range(30)
    ]


async def move(cluster: RedisCluster, slot: int, load: Load) -> None:
    """Move ``slot`` to the next master key by key, with reads and writes between any two steps."""
    target = (cluster.owner(slot) + 1) % MASTERS
    source = await asyncio.to_thread(cluster.begin_move, slot, target)
    try:
        await load.goes_on()
        while await asyncio.to_thread(cluster.move_keys, slot, source, target, at_once=1):
            await load.goes_on()
    finally:
        # Other tests have the same cluster: a test that fails leaves no slot on the move.
        finish_move(cluster, slot, source, target)
    await load.goes_on()


def finish_move(cluster: RedisCluster, slot: int, source: int, target: int) -> None:
    while cluster.move_keys(slot, source, target, at_once=10):
        pass
    cluster.end_move(slot, target)


@pytest.mark.parametrize("of_task", [False, True], ids=["of a record", "of a task"])
async def test_a_slot_moves_under_load(redis_cluster: RedisCluster, connection: Connection, *, of_task: bool) -> None:
    """There and back: what is written arrives, what is read is right or refused for the time being."""
    stream, settled = many_events(random.Random(11), 400), details_of(neighbour(BUSY))
    await merge(connection, settled)
    load = Load(connection, stream, settled)
    moving = task_bucket(connection.prefix, "t0") if of_task else RecordKeys(connection.prefix, BUSY).bucket
    slot = key_slot(moving.tasks)
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(load.write())
        tasks.create_task(load.read())
        await load.goes_on()
        for _ in range(MASTERS):
            await move(redis_cluster, slot, load)
        load.stopped = True
    await merge(connection, stream)
    model = Model(settled + stream)
    assert await answers(connection, model) == expected(model)
    assert await indexed(connection) == to_be_indexed(model)
    assert load.answered
    assert load.refused <= {"cluster"}


async def test_what_does_not_exist_is_found_missing_in_a_slot_on_the_move(
    redis_cluster: RedisCluster, connection: Connection
) -> None:
    """By a call with one key: the old master sends it to the new one, which answers only because it was asked so."""
    keys = RecordKeys(connection.prefix, BUSY)
    await connection.run([Command("HSET", [keys.record], ["field", "there"])])
    slot = key_slot(keys.record)
    target = (redis_cluster.owner(slot) + 1) % MASTERS
    source = redis_cluster.begin_move(slot, target)
    calls = [
        Command("HSET", [keys.details], ["field", "new"]),
        Command("HGET", [keys.record], ["field"]),
        Command("HGET", [keys.details], ["field"]),
        Command("HDEL", [keys.details], ["field"]),
        Command("HGET", [keys.details], ["field"]),
    ]
    try:
        # Several at once, so that there are several connections to mistake.
        found = await asyncio.gather(*(connection.run(calls[1:2]) for _ in range(5)), connection.run(calls))
    finally:
        finish_move(redis_cluster, slot, source, target)
    assert found == [*5 * [[b"there"]], [1, b"there", b"new", 1, None]]
    assert await connection.run(calls[1:2]) == [b"there"]


async def test_a_merge_in_a_slot_on_the_move_is_whole_or_not_at_all(
    redis_cluster: RedisCluster, connection: Connection
) -> None:
    """Where all its keys are still at the old master, which then runs the script."""
    started: Event = {
        "type": "detail.started",
        "recordId": BUSY,
        "detailId": "d",
        "eventTime": "2021-05-12T12:00:00Z",
        "packageName": "p",
    }
    finished = {**started, "type": "detail.finished", "status": "SUCCESS", "eventTime": "2021-05-12T12:00:01Z"}
    await merge(connection, [started])
    bucket = RecordKeys(connection.prefix, BUSY).bucket
    await connection.run([Command("ZADD", [bucket.removed], [1, "another"])])
    slot = key_slot(bucket.removed)
    target = (redis_cluster.owner(slot) + 1) % MASTERS
    source = redis_cluster.begin_move(slot, target)
    try:
        with contextlib.suppress(StoreUnavailable):
            await Writer(connection).merge(batch_of([finished]))
    finally:
        finish_move(redis_cluster, slot, source, target)
    await merge(connection, [finished])
    model = Model([started, finished])
    assert await answers(connection, model) == expected(model)
    for status, total in (("RUNNING", 0), ("SUCCESS", 1)):
        page = await Reader(connection).detail_page(BUSY, DetailFilter(status=status), 0, 10)
        assert page is not None
        assert page.total == total
