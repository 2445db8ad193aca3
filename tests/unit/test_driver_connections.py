"""The driver's connections as adapted: commands are written as the driver itself does, and a closed one says so."""

from __future__ import annotations

import asyncio
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


@pytest.mark.parametrize("kind", [Connection, SSLConnection, UnixDomainSocketConnection])
def test_connections_stay_what_they_are(kind: type) -> None:
    """Of the driver's class, encrypted or not."""
    assert issubclass(adapted(kind), kind)


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
