"""A failover under load: the next calls find the new master, and what is written again ends in what it should."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING, TypeVar

import pytest

from replog.errors import StoreUnavailable
from replog.settings import StoreSettings
from replog.store.client.command import Command
from replog.store.client.connection import Connection
from replog.store.write.writer import Writer
from tests.support.model import Model
from tests.support.services.process import free_port
from tests.support.services.redis_sentinel import NAME, start_sentinel
from tests.support.store.answers import answers, expected
from tests.support.store.batches import batch_of, many_events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from tests.support.services.redis_sentinel import RedisSentinel
    from tests.support.strategies import Event

T = TypeVar("T")

DEADLINE_S = 90.0
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
    async with Connection(connection_settings(sentinel), timeout_s=5) as connection:
        yield connection


def connection_settings(sentinel: RedisSentinel) -> StoreSettings:
    return StoreSettings(redis_url=sentinel.url, redis_prefix=f"replog-test-{uuid.uuid4().hex}")


class Trying:
    """Tries calls as the processes do: again, until they succeed; ``kinds`` is what failed on the way.

    A Sentinel on a busy machine may miss a living master for a moment, and say that there is none.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.kinds: set[str] = set()

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await call()
            except StoreUnavailable as error:
                self.kinds.add(error.kind)
                await asyncio.sleep(0.01)

    async def merge(self, events: list[Event]) -> None:
        for start in range(0, len(events), BATCH_EVENTS):
            part = events[start : start + BATCH_EVENTS]
            await self(lambda part=part: Writer(self._connection).merge(batch_of(part)))  # type: ignore[misc]


async def test_a_dead_master_is_replaced(sentinel: RedisSentinel, connection: Connection) -> None:
    """By the Sentinel on its own; until then calls say that the store is unavailable."""
    stream, trying = many_events(random.Random(3), 300), Trying(connection)
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.to_thread(sentinel.wait_until_in_step)
        await trying.merge(stream[:100])
        trying.kinds.clear()
        old = sentinel.master
        await asyncio.to_thread(old.kill)
        try:
            await trying.merge(stream)
            assert sentinel.master is not old
        finally:
            await asyncio.to_thread(sentinel.bring_back, old)
        assert await trying(lambda: answers(connection, Model(stream))) == expected(Model(stream))
    assert trying.kinds
    assert trying.kinds <= PASSING


async def test_writes_go_on_after_a_failover(sentinel: RedisSentinel, connection: Connection) -> None:
    """On the same connection. What the old master took while it was replaced is written again, as from the topic."""
    before, after = many_events(random.Random(1), 300), many_events(random.Random(2), 300)
    trying = Trying(connection)
    async with asyncio.timeout(DEADLINE_S):
        await trying(connection.check)
        await trying.merge(before)
        await asyncio.to_thread(sentinel.wait_until_in_step)
        old = sentinel.master
        await asyncio.to_thread(sentinel.fail_over)
        while await port_of(connection) in {None, old.port}:
            await trying.merge(after[:BATCH_EVENTS])
        assert sentinel.master is not old
        await trying.merge(after)
        model = Model(before + after)
        assert await trying(lambda: answers(connection, model)) == expected(model)
    assert trying.kinds <= PASSING


async def test_a_master_that_the_sentinel_misses_for_a_moment_is_waited_for(
    sentinel: RedisSentinel, connection: Connection
) -> None:
    """Until it is heard of again, or replaced: as on a machine where it had no time to answer."""
    trying = Trying(connection)
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.to_thread(sentinel.wait_until_in_step)
        silent = sentinel.master
        silent.pause()
        try:
            async with Connection(connection_settings(sentinel), timeout_s=1) as newcomer:
                missed = await failure_of(newcomer)
        finally:
            silent.resume()
        await trying(connection.check)
    assert missed.kind in PASSING


async def failure_of(connection: Connection) -> StoreUnavailable:
    """The first failure of a check, waited for."""
    while True:
        try:
            await connection.check()
        except StoreUnavailable as error:
            return error


async def port_of(connection: Connection) -> int | None:
    """The port of the server behind ``connection``; None where none answers."""
    try:
        ((_, port),) = await connection.run([Command("CONFIG", [], ["GET", "port"])])
    except StoreUnavailable:
        return None
    return int(port)


@pytest.mark.parametrize("url", ["redis+sentinel://127.0.0.1:{port}/" + NAME, "redis+cluster://127.0.0.1:{port}"])
async def test_where_nobody_listens_the_store_is_unavailable(url: str) -> None:
    """As with a single server."""
    settings = StoreSettings(redis_url=url.format(port=free_port()))
    async with Connection(settings, timeout_s=1) as connection:
        for action in (connection.check(), connection.run([Command("EXISTS", [b"{1}"])])):
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
