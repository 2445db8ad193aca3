"""A failover under load: the next calls find the new master, and what is written again ends in what it should."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING

import pytest

from replog.errors import StoreUnavailable
from replog.settings import StoreSettings
from replog.store.connection import Call, Connection
from replog.store.writer import Writer
from tests.contract.test_store import batch_of
from tests.integration.test_store import answers, expected, many_events
from tests.model import Model
from tests.services.process import free_port
from tests.services.redis_sentinel import NAME, start_sentinel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.services.redis_sentinel import RedisSentinel
    from tests.strategies import Event

DEADLINE_S = 60.0
BATCH_EVENTS = 25
#: What a call may say while the master changes.
PASSING = {"connection", "readonly", "timeout", "loading"}


@pytest.fixture(scope="module")
def sentinel(redis_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    running = start_sentinel(redis_binary, tmp_path_factory.mktemp("sentinel"))
    yield running
    running.close()


@pytest.fixture
async def connection(sentinel: RedisSentinel) -> AsyncIterator[Connection]:
    settings = StoreSettings(redis_url=sentinel.url, redis_prefix=f"replog-test-{uuid.uuid4().hex}")
    async with Connection(settings, timeout_s=5) as connection:
        yield connection


async def merge(connection: Connection, events: list[Event]) -> set[str]:
    """Merge ``events`` as a collector does: again, until nothing fails; returns what failed on the way."""
    kinds: set[str] = set()
    for start in range(0, len(events), BATCH_EVENTS):
        while True:
            try:
                await Writer(connection).merge(batch_of(events[start : start + BATCH_EVENTS]))
            except StoreUnavailable as error:
                kinds.add(error.kind)
                await asyncio.sleep(0.01)
            else:
                break
    return kinds


async def test_a_dead_master_is_replaced(sentinel: RedisSentinel, connection: Connection) -> None:
    """By the Sentinel on its own; until then calls say that the store is unavailable."""
    stream = many_events(random.Random(3), 300)
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.to_thread(sentinel.wait_until_in_step)
        old = sentinel.master
        await merge(connection, stream[:100])
        await asyncio.to_thread(old.kill)
        try:
            kinds = await merge(connection, stream)
            assert sentinel.master is not old
        finally:
            await asyncio.to_thread(sentinel.bring_back, old)
        assert await answers(connection, Model(stream)) == expected(Model(stream))
    assert kinds
    assert kinds <= PASSING


async def test_writes_go_on_after_a_failover(sentinel: RedisSentinel, connection: Connection) -> None:
    """On the same connection. What the old master took while it was replaced is written again, as from the topic."""
    before, after = many_events(random.Random(1), 300), many_events(random.Random(2), 300)
    async with asyncio.timeout(DEADLINE_S):
        await connection.check()
        await merge(connection, before)
        await asyncio.to_thread(sentinel.wait_until_in_step)
        old = sentinel.master
        await asyncio.to_thread(sentinel.fail_over)
        kinds: set[str] = set()
        while await port_of(connection) in {None, old.port}:
            kinds |= await merge(connection, after[:BATCH_EVENTS])
        assert sentinel.master is not old
        kinds |= await merge(connection, after)
        model = Model(before + after)
        assert await answers(connection, model) == expected(model)
    assert kinds <= PASSING


async def port_of(connection: Connection) -> int | None:
    """The port of the server behind ``connection``; None where none answers."""
    try:
        ((_, port),) = await connection.run([Call("CONFIG", [], ["GET", "port"])])
    except StoreUnavailable:
        return None
    return int(port)


@pytest.mark.parametrize("url", ["redis+sentinel://127.0.0.1:{port}/" + NAME, "redis+cluster://127.0.0.1:{port}"])
async def test_where_nobody_listens_the_store_is_unavailable(url: str) -> None:
    """As with a single server."""
    settings = StoreSettings(redis_url=url.format(port=free_port()))
    async with Connection(settings, timeout_s=1) as connection:
        for action in (connection.check(), connection.run([Call("EXISTS", [b"{1}"])])):
            with pytest.raises(StoreUnavailable) as refused:
                await action
            assert refused.value.kind == "connection"


async def test_an_unknown_name_is_unavailable(sentinel: RedisSentinel) -> None:
    """The Sentinels may learn it later."""
    settings = StoreSettings(redis_url=sentinel.url.replace(NAME, "other"))
    async with Connection(settings, timeout_s=1) as connection:
        with pytest.raises(StoreUnavailable, match="other") as refused:
            await connection.check()
        assert refused.value.kind == "connection"
