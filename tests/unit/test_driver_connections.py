"""The driver's connections as adapted: commands are written as the driver itself does, and a closed one says so."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from redis import exceptions
from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection

from replog.store.client.driver_connections import adapted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

words = st.binary() | st.text() | st.integers(-(2**63), 2**63 - 1)


@given(st.sampled_from(["GET", "SCRIPT LOAD", "EVALSHA"]), st.lists(words))
def test_commands_are_written_as_the_driver_writes_them(name: str, arguments: list[bytes | str | int]) -> None:
    """Of any length, with bytes, texts and numbers."""
    ours, drivers = adapted(Connection)(), Connection()
    assert b"".join(ours.pack_command(name, *arguments)) == b"".join(drivers.pack_command(name, *arguments))


INTERRUPTED = """
import signal
from redis.asyncio import Connection
from replog.store.client.driver_connections import adapted

class Interrupted(BaseException):
    pass

def interrupt(*_):
    raise Interrupted

pack = adapted(Connection)().pack_command
signal.signal(signal.SIGALRM, interrupt)
times = 0
while times < 300:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0003)
        while True:
            pack("ZADD", b"key", *range(10**12, 10**12 + 200))
    except Interrupted:
        times += 1
"""


def test_a_process_that_is_interrupted_while_it_writes_a_command_lives_on() -> None:
    """As by a second Ctrl-C: that raises wherever it comes."""
    subprocess.run([sys.executable, "-c", INTERRUPTED], check=True)


@pytest.mark.parametrize("kind", [Connection, SSLConnection, UnixDomainSocketConnection])
def test_connections_stay_what_they_are(kind: type) -> None:
    """Of the driver's class, encrypted or not."""
    assert issubclass(adapted(kind), kind)


@asynccontextmanager
async def _connected_to(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], *, timeout_s: float = 5, **more: Any
) -> Any:
    """An adapted connection to a server that serves each connection so."""
    server = await asyncio.start_server(serve, "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    kind: type[Any] = adapted(Connection)
    connection = kind(host=host, port=port, socket_timeout=timeout_s, protocol=2, driver_info=None, **more)
    await connection.connect()
    try:
        yield connection
    finally:
        await connection.disconnect()
        server.close()
        await server.wait_closed()


async def _one_by_one(connection: Any, count: int) -> list[Any]:
    replies = list[Any]()
    for _ in range(count):
        try:
            replies.append(await connection.read_response())
        except exceptions.RedisError as error:
            replies.append(error)
    return replies


async def _together(connection: Any, count: int) -> list[Any]:
    try:
        return list(await connection.replies(count))
    except exceptions.ConnectionError as error:
        return [error]


async def _replies(read: Callable[[Any, int], Awaitable[list[Any]]], sent: list[bytes], count: int) -> list[Any]:
    """The replies of a server that sends these bytes, each after a moment; last whether the connection is kept."""
    ended = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in sent:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        await ended.wait()
        writer.close()

    async with _connected_to(serve) as connection:
        try:
            replies = await read(connection, count)
            return [*replies, connection.is_connected]
        finally:
            ended.set()


REPLIES = b"+OK\r\n-WRONGTYPE no hash\r\n$-1\r\n*2\r\n:7\r\n$3\r\nabc\r\n-ERR no\r\n:1\r\n"
READ = [b"OK", (exceptions.ResponseError, "no hash"), None, [7, b"abc"], (exceptions.ResponseError, "no"), 1, True]
RUNS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
WAYS = pytest.mark.parametrize("read", [_one_by_one, _together])


@RUNS
@WAYS
@pytest.mark.parametrize("at", [0, 1, 10, len(REPLIES) // 2, len(REPLIES) - 1])
def test_replies_come_in_order_whether_they_are_there_or_on_their_way(
    run: Callable[[Coroutine[None, None, Any]], Any], read: Callable[[Any, int], Awaitable[list[Any]]], at: int
) -> None:
    """And errors that the server answers cost no connection."""
    replies = run(_replies(read, [REPLIES[:at], REPLIES[at:]], len(READ) - 1))
    # Some drivers have a class of their own for the first.
    for i in (1, 4):
        replies[i] = (exceptions.ResponseError, str(replies[i]).removeprefix("WRONGTYPE "))
    assert replies == READ


@pytest.mark.parametrize("at", [5, 26])
def test_a_server_that_cannot_answer_ends_the_connection(at: int) -> None:
    """Whether its reply was there already or not."""
    sent = b"+OK\r\n-LOADING the data\r\n"
    first, second, is_kept = asyncio.run(_replies(_one_by_one, [sent[:at], sent[at:]], 2))
    assert first == b"OK"
    assert isinstance(second, exceptions.ConnectionError)
    assert not is_kept


@pytest.mark.parametrize("at", [5, 26])
def test_a_server_that_cannot_answer_is_no_reply_among_others(at: int) -> None:
    """So that the whole exchange fails."""
    sent = b"+OK\r\n-LOADING the data\r\n"
    error, _ = asyncio.run(_replies(_together, [sent[:at], sent[at:]], 2))
    assert isinstance(error, exceptions.ConnectionError)


@RUNS
@pytest.mark.parametrize("size", [100, 10_000, 1_000_000])
def test_a_server_that_takes_nothing_is_given_up(run: Callable[[Coroutine[None, None, None]], None], size: int) -> None:
    """However small the commands are that are written to it."""

    async def write_on() -> None:
        ended = asyncio.Event()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # Nothing reads.
            await ended.wait()
            writer.close()

        async with _connected_to(serve, timeout_s=0.2) as connection:
            try:
                while True:
                    await connection.send_packed_command([bytes(size)] * 100)
            finally:
                ended.set()

    with pytest.raises(exceptions.TimeoutError):
        run(write_on())


def test_connections_are_checked_where_that_is_asked_for() -> None:
    """By an option of the URL; the driver then asks before it writes."""

    async def written() -> bytes:
        read = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            begun = await reader.readuntil(b"PING\r\n")
            writer.write(b"+PONG\r\n")
            read.set_result(begun + await reader.readuntil(b"key\r\n"))
            writer.close()

        async with _connected_to(serve, health_check_interval=1e-9) as connection:
            await connection.send_command("GET", "key")
            answer: bytes = await read
            return answer

    assert asyncio.run(written()) == b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"


async def _send_on_a_closed_connection() -> None:
    closed = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await closed.wait()
        writer.close()

    async with _connected_to(serve) as connection:
        connection._writer.transport.abort()
        try:
            # Its end is not seen before the loop has run.
            await asyncio.sleep(0)
            await connection.send_command("PING")
        finally:
            closed.set()


@RUNS
def test_a_connection_that_was_closed_meanwhile_is_no_error_of_this_program(
    run: Callable[[Coroutine[None, None, None]], None],
) -> None:
    """Whichever event loop serves it."""
    with pytest.raises(exceptions.ConnectionError):
        run(_send_on_a_closed_connection())
