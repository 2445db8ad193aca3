"""The store says its layout: written with its first data, checked by each connection that leads to another server."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from replog.errors import StoreIncompatible, StoreUnavailable
from replog.events import parse
from replog.settings import StoreSettings
from replog.store.client.command import Command
from replog.store.client.connection import Connection
from replog.store.client.rights import QUERY_SERVICE
from replog.store.format.layout import LAYOUT, Mark, all_buckets, evidence_of_data, own_mark
from replog.store.write.batch import Batch
from replog.store.write.layout_claim import claim_layout
from replog.store.write.writer import Writer
from tests.support.administered import AdministeredConnection
from tests.support.query_service import serving
from tests.support.services.redis import OwnRedis, connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

FOREIGN = Mark(LAYOUT + 1, "9.9").encoded()
TIMEOUT_S = 10.0

every_topology = pytest.mark.every_topology


async def merge(connection: Connection) -> None:
    """Merge records of a few tasks."""
    batch = Batch()
    for i in range(8):
        event = {"type": "record.started", "recordId": f"r{i}", "taskKey": f"t{i}", "eventTime": "2026-01-01T00:00:00Z"}
        batch.add(parse(json.dumps(event).encode()))
    await Writer(connection).merge(batch)


class Store:
    """A store, and a connection that looks at its keys beside the check."""

    def __init__(self, url: str, prefix: str, aside: Connection) -> None:
        self._settings = StoreSettings(redis_url=url, redis_prefix=prefix)
        self._aside = aside
        self.buckets = all_buckets(prefix)

    def opened(self) -> Connection:
        """A connection that is new."""
        return Connection(self._settings, timeout_s=TIMEOUT_S)

    def opened_for_queries(self) -> Connection:
        """The same with the rights of a query service."""
        return Connection(self._settings, timeout_s=TIMEOUT_S, rights=QUERY_SERVICE)

    async def marks(self) -> list[bytes | None]:
        """The marks of all buckets."""
        return await self._aside.run([Command("GET", [bucket.layout]) for bucket in self.buckets])

    async def mark(self, mark: bytes | None, *numbers: int) -> None:
        """Write over the marks of some buckets, or remove them."""
        keys = [self.buckets[number].layout for number in numbers]
        await self._aside.run([Command("SET", [key], [mark]) if mark else Command("DEL", [key]) for key in keys])

    async def filled(self) -> set[int]:
        """The buckets that have data."""
        counts = await self._aside.run([Command("EXISTS", evidence_of_data(bucket)) for bucket in self.buckets])
        return {number for number, count in enumerate(counts) if count}


@pytest.fixture
async def store(redis_url: str, redis_prefix: str) -> AsyncIterator[Store]:
    async with AdministeredConnection(redis_url, f"{redis_prefix}-aside", timeout_s=TIMEOUT_S) as aside:
        yield Store(redis_url, redis_prefix, aside)


@every_topology
async def test_a_new_store_is_claimed_once(store: Store) -> None:
    async with store.opened() as connection:
        await claim_layout(connection)
        assert await store.marks() == [own_mark()] * len(store.buckets)
        # Which version of the same layout began it stays known.
        older = Mark(LAYOUT, "0.0.1").encoded()
        await store.mark(older, 7)
        await claim_layout(connection)
    assert (await store.marks())[7] == older
    async with store.opened_for_queries() as connection:
        await connection.check()


@every_topology
async def test_data_bring_their_mark_where_nobody_claimed(store: Store) -> None:
    """As where a server lost everything under a collector that runs."""
    async with store.opened() as connection:
        await merge(connection)
    marked = {number for number, mark in enumerate(await store.marks()) if mark == own_mark()}
    assert marked == await store.filled()
    assert len(marked) > 1
    async with store.opened() as connection:
        await connection.check()


@every_topology
async def test_an_empty_store_is_read_before_any_collector_wrote(store: Store) -> None:
    async with store.opened_for_queries() as connection:
        await connection.check()
        assert await connection.run([Command("EXISTS", evidence_of_data(store.buckets[0]))]) == [0]
    assert await store.marks() == [None] * len(store.buckets)


@every_topology
@pytest.mark.parametrize("bucket", [0, 41])
async def test_another_layout_is_refused_at_the_start_and_by_every_call(store: Store, bucket: int) -> None:
    async with store.opened() as connection:
        await claim_layout(connection)
    await store.mark(FOREIGN, bucket)
    for connection in (store.opened(), store.opened_for_queries()):
        async with connection:
            with pytest.raises(
                StoreIncompatible, match=rf"layout {LAYOUT + 1}, written by replog 9\.9.*run the version"
            ):
                await connection.check()
            with pytest.raises(StoreUnavailable, match="layout") as refused:
                # In a cluster, the master that serves the bucket refuses.
                await connection.run([Command("EXISTS", [each.due]) for each in store.buckets])
            assert refused.value.kind == "incompatible"
            await store.mark(own_mark(), bucket)
            await connection.check()
            await store.mark(FOREIGN, bucket)


@every_topology
async def test_data_without_a_mark_are_refused(store: Store) -> None:
    async with store.opened() as connection:
        await merge(connection)
    await store.mark(None, *range(len(store.buckets)))
    async with store.opened() as connection:
        with pytest.raises(StoreIncompatible, match=r"data and no layout.*Rebuilding the store"):
            await connection.check()


@every_topology
async def test_of_two_that_claim_at_once_one_leaves(store: Store) -> None:
    """The other has got the first bucket meanwhile."""
    async with store.opened() as connection:
        await connection.check()
        await store.mark(FOREIGN, 0)
        with pytest.raises(StoreIncompatible, match=r"replog 9\.9"):
            await claim_layout(connection)
    assert await store.marks() == [FOREIGN, *[None] * (len(store.buckets) - 1)]


async def test_a_query_service_on_another_layout_answers_503_until_it_is_the_right_one(
    store: Store, redis_url: str, redis_prefix: str
) -> None:
    """As where the store is replaced under one that runs; at its start it is refused."""
    await store.mark(FOREIGN, 0)
    async with serving(redis_url, redis_prefix) as service:
        answer = await service.get("list", "t")
        assert (answer.status_code, answer.json()["code"]) == (503, 250102)
        ready = await service.client.get("/readyz")
        assert (ready.status_code, ready.text) == (503, "redis: incompatible\n")
        await store.mark(own_mark(), 0)
        assert (await service.client.get("/readyz")).status_code == 200
        assert await service.data("list", "t") == []


@pytest.fixture
def own_redis(redis_binary: Path, tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(redis_binary, tmp_path)
    server.start()
    yield server
    server.close()


async def test_a_server_that_comes_back_with_another_layout_takes_no_call(own_redis: OwnRedis) -> None:
    """And serves again once it has the right one; no call had reached it."""
    settings = StoreSettings(redis_url=own_redis.url)
    mark = all_buckets(settings.redis_prefix)[3].layout
    async with Connection(settings, timeout_s=TIMEOUT_S) as connection:
        await merge(connection)
        with connected(own_redis.url) as client:
            client.set(mark, FOREIGN)
        await asyncio.to_thread(own_redis.stop)
        await asyncio.to_thread(own_redis.start)
        epoch = connection.epoch
        for _ in range(2):
            with pytest.raises(StoreUnavailable) as refused:
                await connection.run([Command("SET", [b"replog:{0}:touched"], [b"1"])])
            assert refused.value.kind == "incompatible"
        with connected(own_redis.url) as client:
            assert not client.exists("replog:{0}:touched")
            client.set(mark, own_mark())
        await connection.check()
        assert connection.epoch == epoch + 1
