"""Clients that keep connections open and ask nothing, slowly or by halves keep nobody else out."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from replog_api.server.connections import ConnectionLimits
from tests.support.live import DEADLINE_S, live, until

if TYPE_CHECKING:
    from tests.support.live import LiveService

#: Shorter than any test may take, longer than a request takes.
SOON_S = 0.3
BEGINNINGS = {
    "nothing": b"",
    "an empty line": b"\r\n",
    "half a head": b"GET /livez HTTP/1.1\r\nHost: x\r\n",
    "a head without its body": b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345",
    "half a head after a request": b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTT",
}


async def opened(service: LiveService, sent: bytes = b"") -> socket.socket:
    """A connection that has sent something."""
    client = socket.socket()
    client.setblocking(False)  # noqa: FBT003 - its only parameter has no other way
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, service.address)
    await loop.sock_sendall(client, sent)
    return client


async def closed(client: socket.socket) -> None:
    """Return once the service has closed a connection."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while await asyncio.get_running_loop().sock_recv(client, 65_536):
                pass
    except ConnectionResetError:
        pass
    finally:
        client.close()


@pytest.mark.parametrize("sent", BEGINNINGS.values(), ids=BEGINNINGS)
async def test_what_is_not_said_in_time_ends_the_connection(redis_url: str, redis_prefix: str, sent: bytes) -> None:
    """However it begins; who says it a byte at a time gets no more time."""
    limits = ConnectionLimits(head_s=SOON_S, body_s=SOON_S)
    async with live(redis_url, redis_prefix, connection_limits=limits) as service:
        client = await opened(service, sent)
        dripping = asyncio.create_task(drip(client))
        await closed(client)
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        assert (await service.client.get("/livez")).status_code == 200


async def drip(client: socket.socket) -> None:
    """Send a byte of something now and then."""
    while True:
        await asyncio.sleep(SOON_S / 5)
        await asyncio.get_running_loop().sock_sendall(client, b"x")


async def test_a_request_that_comes_in_pieces_is_answered(redis_url: str, redis_prefix: str) -> None:
    """As long as it is whole in time; and so is the next one on its connection."""
    async with live(redis_url, redis_prefix) as service:
        client = await opened(service)
        loop = asyncio.get_running_loop()
        for _ in range(2):
            for part in (b"GET /livez HT", b"TP/1.1\r\nHost", b": x\r\n\r\n"):
                await loop.sock_sendall(client, part)
                await asyncio.sleep(0.01)
            async with asyncio.timeout(DEADLINE_S):
                assert (await loop.sock_recv(client, 65_536)).startswith(b"HTTP/1.1 200")
        client.close()


@pytest.mark.parametrize("sent", BEGINNINGS.values(), ids=BEGINNINGS)
async def test_more_connections_than_there_may_be_keep_nobody_out(
    redis_url: str, redis_prefix: str, sent: bytes
) -> None:
    """The longest silent ones go first; who asks something is answered."""
    limits = ConnectionLimits(most_open=20)
    async with live(redis_url, redis_prefix, connection_limits=limits) as service:
        silent = [await opened(service, sent) for _ in range(100)]
        for _ in range(5):
            late = await opened(service, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            async with asyncio.timeout(DEADLINE_S):
                assert (await asyncio.get_running_loop().sock_recv(late, 65_536)).startswith(b"HTTP/1.1 200")
            late.close()
        await until(lambda: len(service.connections()) <= limits.most_open)
        for client in silent[: 100 - limits.most_open]:
            await closed(client)
        for client in silent[100 - limits.most_open :]:
            client.close()
