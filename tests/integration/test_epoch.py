"""A Redis that was ended and started again between two calls is noticed, although no call fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from replog.errors import StoreUnavailable
from replog.settings import StoreSettings
from replog.store.client.command import Command
from replog.store.client.connection import Connection
from tests.support.services.redis import OwnRedis, connected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALLS = [Command("EXISTS", [b"{1}"])]


@pytest.fixture
def own_redis(redis_binary: Path, tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(redis_binary, tmp_path)
    server.start()
    yield server
    server.close()


async def test_a_redis_that_was_started_anew_begins_an_epoch(own_redis: OwnRedis) -> None:
    async with Connection(StoreSettings(redis_url=own_redis.url), timeout_s=5) as connection:
        await connection.run(CALLS)
        first = connection.epoch
        # In a thread: the driver is to see meanwhile that its connection is closed.
        await asyncio.to_thread(own_redis.kill)
        await asyncio.to_thread(own_redis.start)
        assert await connection.run(CALLS) == [0]
        assert connection.epoch == first + 1


async def test_more_connections_to_the_same_begin_none(own_redis: OwnRedis) -> None:
    """Nor do others in the place of those that the server closed."""
    async with Connection(StoreSettings(redis_url=own_redis.url), timeout_s=5) as connection:
        await connection.run(CALLS)
        first = connection.epoch
        with connected(own_redis.url) as client:
            before = client.info("stats")["total_connections_received"]
            await asyncio.gather(*(connection.run(CALLS) for _ in range(20)))
            await asyncio.to_thread(client.client_kill_filter, _type="normal")
            await asyncio.to_thread(client.ping)
            await connection.run(CALLS)
            assert client.info("stats")["total_connections_received"] > before + 5
        assert connection.epoch == first


async def test_where_the_server_may_not_be_asked_every_connection_begins_one(own_redis: OwnRedis) -> None:
    """A doubt too many costs a reading; one too few would be a wrong answer."""
    with connected(own_redis.url) as client:
        client.acl_setuser("u", enabled=True, passwords=["+p"], keys=["*"], commands=["+@all", "-info"])
    url = own_redis.url.replace("://", "://u:p@")
    async with Connection(StoreSettings(redis_url=url), timeout_s=5) as connection:
        await asyncio.gather(*(connection.run(CALLS) for _ in range(5)))
        assert connection.epoch > 1


async def test_a_master_that_became_a_replica_is_left(own_redis: OwnRedis) -> None:
    """Its name, or the Sentinels, may lead to another by now; until then each call says that it takes no writes."""
    write = [Command("SET", [b"{1}"], ["x"])]
    async with Connection(StoreSettings(redis_url=own_redis.url), timeout_s=5) as connection:
        await connection.run(write)
        with connected(own_redis.url) as client:
            client.replicaof("127.0.0.1", 1)
            before = client.info("stats")["total_connections_received"]
            for times in range(3):
                with pytest.raises(StoreUnavailable) as caught:
                    await connection.run(write)
                assert caught.value.kind == "readonly"
                # The first came over a connection that was there.
                assert client.info("stats")["total_connections_received"] == before + times
            client.replicaof("NO", "ONE")
        assert await connection.run(write) == [True]
