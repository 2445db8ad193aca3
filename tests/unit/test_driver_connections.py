"""The driver's connections as adapted: commands are written as the driver itself does, and a closed one says so."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from redis import exceptions
from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection

from replog.store.client.driver_connections import adapted

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

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


async def _replies(sent: list[bytes], count: int) -> tuple[list[Any], bool]:
    """The replies of a server that sends these bytes, each after a moment; and whether the connection is kept."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in sent:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    kind: type[Any] = adapted(Connection)
    connection = kind(host=host, port=port, socket_timeout=5, protocol=2, driver_info=None)
    await connection.connect()
    replies: list[Any] = []
    try:
        for _ in range(count):
            try:
                replies.append(await connection.read_response())
            except exceptions.RedisError as error:
                replies.append((type(error), str(error)))
        return replies, connection.is_connected
    finally:
        ended.set()
        await connection.disconnect()
        server.close()
        await server.wait_closed()


REPLIES = b"+OK\r\n-WRONGTYPE no hash\r\n$-1\r\n*2\r\n:7\r\n$3\r\nabc\r\n-ERR no\r\n:1\r\n"
READ = [b"OK", (exceptions.ResponseError, "no hash"), None, [7, b"abc"], (exceptions.ResponseError, "no"), 1]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("at", [0, 1, 10, len(REPLIES) // 2, len(REPLIES) - 1])
def test_replies_come_in_order_whether_they_are_there_or_on_their_way(
    run: Callable[[Coroutine[None, None, Any]], Any], at: int
) -> None:
    """And errors that the server answers cost no connection."""
    replies, is_kept = run(_replies([REPLIES[:at], REPLIES[at:]], len(READ)))
    # Some drivers have a class of their own for this one.
    replies[1] = (exceptions.ResponseError, replies[1][1].removeprefix("WRONGTYPE "))
    assert (replies, is_kept) == (READ, True)


def test_a_server_that_cannot_answer_ends_the_connection() -> None:
    """Also where its reply was there already."""
    replies, is_kept = asyncio.run(_replies([b"+OK\r\n-LOADING the data\r\n"], 2))
    assert replies[0] == b"OK"
    assert issubclass(replies[1][0], exceptions.ConnectionError)
    assert not is_kept


async def _send_on_a_closed_connection() -> None:
    closed = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await closed.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    kind: type[Any] = adapted(Connection)
    connection = kind(host=host, port=port, socket_timeout=5, protocol=2, driver_info=None)
    await connection.connect()
    writer = connection._writer
    assert writer
    writer.transport.abort()
    try:
        # Its end is not seen before the loop has run.
        await asyncio.sleep(0)
        await connection.send_command("PING")
    finally:
        closed.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_connection_that_was_closed_meanwhile_is_no_error_of_this_program(
    run: Callable[[Coroutine[None, None, None]], None],
) -> None:
    """Whichever event loop serves it."""
    with pytest.raises(exceptions.ConnectionError):
        run(_send_on_a_closed_connection())
