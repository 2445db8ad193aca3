"""A query service that stops while a client takes a long answer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from replog_api.server.connections import ConnectionLimits
from tests.support.live import live, unread, until
from tests.support.query_service import BASE, event, of_requests, write

if TYPE_CHECKING:
    import socket

    import pytest

#: Rows of a list that takes this client some seconds.
ROWS = 3000
PATH = f"{BASE}/detail/list/r"


async def take_slowly(client: socket.socket) -> None:
    """Take a little after the other, until there is no more."""
    loop = asyncio.get_running_loop()
    try:
        while await loop.sock_recv(client, 1024):
            await asyncio.sleep(0.005)
    except ConnectionResetError:
        pass


async def test_a_slow_client_is_cut_off(redis_url: str, redis_prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    """When its time is over, and not as an error of the service."""
    limits = ConnectionLimits(finished_at_stop_s=0.3)
    await write(redis_url, redis_prefix, [event("detail.started", detailId=f"d{number}") for number in range(ROWS)])
    with capture_logs() as logs, caplog.at_level(logging.ERROR):
        async with live(redis_url, redis_prefix, send_bytes=4096, connection_limits=limits) as service:
            client = await unread(service, PATH)
            taking = asyncio.create_task(take_slowly(client))
            await until(lambda: len(service.connections("/detail/list/")) == 1)
            service.server.should_exit = True
            await taking
            client.close()
    assert [(line["event"], line.get("path")) for line in of_requests(logs)] == [("answer_cut_off", PATH)]
    assert not caplog.records
