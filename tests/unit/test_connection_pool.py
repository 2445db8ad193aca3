"""The pool lends each connection to one caller at a time, ready to use, and loses none."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from redis import exceptions
from redis.asyncio import BlockingConnectionPool

from replog.store.client.connection_pool import WaitingPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

#: Most connections of a pool here.
MOST = 2


class Server:
    """A server that answers every command with ``+OK``, and counts its connections."""

    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while await reader.readuntil(b"PING\r\n"):
            writer.write(b"+OK\r\n")


@asynccontextmanager
async def pool_of(kind: type[Any], *, timeout_s: float = 10) -> AsyncIterator[tuple[Any, Server]]:
    """A pool of connections to a server."""
    served = Server()
    server = await asyncio.start_server(served.serve, "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    pool = kind(
        host=host, port=port, max_connections=MOST, timeout=timeout_s, socket_timeout=5, protocol=2, driver_info=None
    )
    try:
        yield pool, served
    finally:
        await pool.disconnect()
        server.close()


async def ping(pool: Any) -> bytes:
    """One command over a connection of the pool."""
    connection = await pool.get_connection()
    try:
        await connection.send_command("PING")
        reply: bytes = await connection.read_response()
        return reply
    finally:
        await pool.release(connection)


POOLS = pytest.mark.parametrize("kind", [BlockingConnectionPool, WaitingPool], ids=["driver", "ours"])
RUNS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


def runs(test: Callable[[type[Any]], Coroutine[Any, Any, None]]) -> Any:
    """Runs the test with the driver's pool and with ours, on both event loops."""

    def test_of_kind(kind: type[Any], run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        run(asyncio.wait_for(test(kind), 30))

    test_of_kind.__doc__ = test.__doc__
    return POOLS(RUNS(test_of_kind))


@runs
async def test_a_connection_is_used_again(kind: type[Any]) -> None:
    """One caller after the other needs one connection."""
    async with pool_of(kind) as (pool, server):
        assert [await ping(pool) for _ in range(5)] == [b"OK"] * 5
        assert len(server.writers) == 1


@runs
async def test_a_burst_waits(kind: type[Any]) -> None:
    """Every caller is served, over as many connections as there may be."""
    async with pool_of(kind) as (pool, server):
        for _ in range(3):
            assert await asyncio.gather(*(ping(pool) for _ in range(50))) == [b"OK"] * 50
        assert len(server.writers) == MOST


@runs
async def test_who_waits_is_served_when_several_connections_come_back_at_once(kind: type[Any]) -> None:
    """As many as came back."""
    async with pool_of(kind) as (pool, _):
        lent = [await pool.get_connection() for _ in range(MOST)]
        waiting = [asyncio.ensure_future(pool.get_connection()) for _ in range(MOST)]
        await asyncio.sleep(0)
        for connection in lent:
            await pool.release(connection)
        assert {*await asyncio.gather(*waiting)} == {*lent}


@runs
async def test_who_waits_too_long_gets_an_error(kind: type[Any]) -> None:
    """And those who come later are served."""
    async with pool_of(kind, timeout_s=0.05) as (pool, _):
        lent = [await pool.get_connection() for _ in range(MOST)]
        with pytest.raises(exceptions.ConnectionError):
            await pool.get_connection()
        for connection in lent:
            await pool.release(connection)
        assert await asyncio.gather(*(ping(pool) for _ in range(5))) == [b"OK"] * 5


@runs
async def test_who_stops_waiting_takes_no_connection_along(kind: type[Any]) -> None:
    """Whether it waits for a free one, or for one to be opened."""
    async with pool_of(kind) as (pool, _):
        for _ in range(MOST + 1):
            opening = asyncio.ensure_future(pool.get_connection())
            await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
        lent = [await pool.get_connection() for _ in range(MOST)]
        waiting = asyncio.ensure_future(pool.get_connection())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        for connection in lent:
            await pool.release(connection)
        assert await asyncio.gather(*(ping(pool) for _ in range(5))) == [b"OK"] * 5


@runs
async def test_a_connection_that_the_server_closed_is_opened_anew(kind: type[Any]) -> None:
    """While nobody used it."""
    async with pool_of(kind) as (pool, server):
        await ping(pool)
        server.writers[0].close()
        connection = await pool.get_connection()
        await pool.release(connection)
        while not (connection.is_connected and await connection.can_read()) and len(server.writers) == 1:
            await asyncio.sleep(0)
        assert await ping(pool) == b"OK"
        assert len(server.writers) == 2


@runs
async def test_a_reply_that_nobody_waits_for_is_no_answer_to_the_next(kind: type[Any]) -> None:
    """Its connection is opened anew."""
    async with pool_of(kind) as (pool, server):
        await ping(pool)
        server.writers[0].write(b"+LATE\r\n")
        connection = await pool.get_connection()
        await pool.release(connection)
        while not await connection.can_read() and len(server.writers) == 1:
            await asyncio.sleep(0)
        assert await ping(pool) == b"OK"
