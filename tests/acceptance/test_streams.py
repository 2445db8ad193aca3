"""Streams of the query service as a process: a thousand at once, a store in trouble, a stop."""

from __future__ import annotations

import asyncio
import os
import re
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from replog_api.admission.waiting_clients import Timings
from replog_api.main import allow_many_clients
from tests.support.query_service import event, write
from tests.support.services import redis as redis_service
from tests.support.services.redis import OwnRedis, connected
from tests.support.system import API, RECORDS, Process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

TIMEOUT_S = 20.0
WATCHERS = 1000
#: Within which a stop has ended them all.
STOPPED_WITHIN_S = 5.0
STREAM = f"{RECORDS}/stream/r"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis that this test alone has, and which knows the record ``r``."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = OwnRedis(redis_service.server_binary(os.environ.get(redis_service.VARIABLE)), folder)
    server.start()
    asyncio.run(write(server.url, "replog", [event("record.started")]))
    yield server
    server.resume()
    server.close()


@pytest.fixture
def api(redis: OwnRedis, tmp_path: Path) -> Iterator[Process]:
    """A query service over it."""
    variables = {"REPLOG_REDIS_URL": redis.url, "REPLOG_API_PORT": "0", "REPLOG_API_DRAIN_S": "0"}
    process = Process(API, tmp_path, variables)
    process.start()
    yield process
    process.kill()


class Viewer:
    """A client of a stream as bytes: ``ended`` once the service closed the connection."""

    def __init__(self) -> None:
        self.received = b""
        self.ended = False

    async def watch(self, url: str) -> None:
        """Read until the end."""
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(f"GET {STREAM} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            while part := await reader.read(65_536):
                self.received += part
            self.ended = True
        finally:
            writer.close()

    @property
    def told(self) -> list[str]:
        """How many details ran by the events so far."""
        return re.findall(r'"overview":{"success":0,"failed":0,"running":(\d)', self.received.decode())

    @property
    def ended_in_order(self) -> bool:
        """Whether the body is complete, and its last words are of the stop."""
        return self.ended and bool(
            re.search(rb": the service stops\nretry: [23]\d\d\d\n\n\r\n0\r\n\r\n\Z", self.received)
        )


@asynccontextmanager
async def watching(url: str, number: int) -> AsyncIterator[list[Viewer]]:
    """So many clients that have got their snapshot."""
    viewers = [Viewer() for _ in range(number)]
    tasks = [asyncio.create_task(viewer.watch(url)) for viewer in viewers]
    try:
        await until(lambda: all(viewer.told == ["0"] for viewer in viewers))
        yield viewers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    """Return once it is so."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0.02)


async def looks(client: httpx.AsyncClient) -> float:
    """How often a streamed record was looked at."""
    text = (await client.get("/metrics")).text
    found = re.search(r'^replog_store_seconds_count\{operation="watch"\} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_a_thousand_watchers(api: Process, redis: OwnRedis) -> None:
    """Cost one read an interval, and outlive a store that hangs and one that ends; a stop ends them in order, soon."""
    allow_many_clients()
    async with watching(api.url, WATCHERS) as viewers, httpx.AsyncClient(base_url=api.url, timeout=TIMEOUT_S) as client:
        assert "replog_stream_clients 1000.0" in (await client.get("/metrics")).text
        await cost_one_read_an_interval(client, redis)
        for number, (begin, end) in enumerate(((redis.pause, redis.resume), (redis.kill, redis.start))):
            begin()
            await a_new_one_is_refused(client)
            await asyncio.to_thread(end)
            await write(redis.url, "replog", [event("detail.started", detailId=f"d{number}")])
            told = [str(running) for running in range(number + 2)]
            await until(lambda told=told: all(viewer.told == told for viewer in viewers))  # type: ignore[misc]
        assert not any(viewer.ended for viewer in viewers)
        began_s = time.monotonic()
        assert await asyncio.to_thread(api.stop) == 0
        assert time.monotonic() - began_s < STOPPED_WITHIN_S
        await until(lambda: all(viewer.ended for viewer in viewers))
        assert all(viewer.ended_in_order for viewer in viewers)
    assert not [line for line in api.log.splitlines() if "Traceback" in line or '"level": "error"' in line]


async def cost_one_read_an_interval(client: httpx.AsyncClient, redis: OwnRedis) -> None:
    """By the count of the store itself."""
    with connected(redis.url) as connection:
        connection.config_resetstat()
        began_s, before = time.monotonic(), await looks(client)
        while await looks(client) < before + 3:
            await asyncio.sleep(0.02)
        took_s = time.monotonic() - began_s
        assert connection.info("commandstats")["cmdstat_hmget"]["calls"] <= took_s / Timings().interval_s + 1


async def a_new_one_is_refused(client: httpx.AsyncClient) -> None:
    """In time."""
    began_s = time.monotonic()
    answer = await client.get(STREAM)
    assert (answer.status_code, answer.json()["code"]) == (503, 250102)
    assert answer.headers["retry-after"]
    assert time.monotonic() - began_s < 2
