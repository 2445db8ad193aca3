"""The query service over real connections: what clients of streams and slow clients need."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any, Self, cast

import httpx

from replog.settings import ApiSettings, load
from replog.store.read.queries import StoreQueries
from replog_api.admission.token_rotation import INTERVAL_S
from replog_api.app import create_app
from replog_api.server.connections import ConnectionLimits, Drain
from replog_api.server.server import Server, configuration
from tests.support.query_service import BASE, STORE_TIMEOUT_S
from tests.support.services.plain_http import NO_TLS
from tests.support.services.redis_acl import url_as_query_service
from tests.support.sse import SentEvent, events_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from replog_api.admission.limits import Limits
    from replog_api.admission.waiting_clients import Timings
    from replog_api.server.protocol import BoundedProtocol
    from tests.support.query_service import Store

DEADLINE_S = 20.0
CONNECTION_LIMITS = ConnectionLimits()


async def until(condition: Callable[[], bool]) -> None:
    """Return once it is so."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)


class LiveService:
    """A running query service; ``server`` is what runs it."""

    def __init__(self, server: Server, address: tuple[str, int]) -> None:
        self.server = server
        self.address = address
        self.url = f"http://{address[0]}:{address[1]}"
        self.client = httpx.AsyncClient(base_url=self.url, timeout=DEADLINE_S, verify=NO_TLS)

    def connections(self, part: str = "") -> list[BoundedProtocol]:
        """Those that are open; with ``part``, those that were last asked for a path that has it."""
        found = cast("list[BoundedProtocol]", list(self.server.server_state.connections))
        return [one for one in found if part in _last_path(one)]

    async def metric(self, name: str) -> float:
        """A sample of a metric, 0 where there is none; ``name`` with its labels."""
        text = (await self.client.get("/metrics")).text
        return sum(float(line.removeprefix(f"{name} ")) for line in text.splitlines() if line.startswith(f"{name} "))

    async def metric_is(self, name: str, value: float) -> None:
        """Return once a metric has a value."""
        async with asyncio.timeout(DEADLINE_S):
            while await self.metric(name) != value:
                await asyncio.sleep(0.01)

    async def metric_passes(self, name: str, value: float) -> None:
        """Return once a metric is greater."""
        async with asyncio.timeout(DEADLINE_S):
            while await self.metric(name) <= value:
                await asyncio.sleep(0.01)


def _last_path(connection: BoundedProtocol) -> str:
    # Before its first request, a connection has no scope, and a head that has not ended has no path.
    scope = cast("dict[str, Any] | None", connection.scope)
    return str(scope.get("path", "")) if scope else ""


class Viewer:
    """Somebody who watches a record; what came is kept."""

    def __init__(self, service: LiveService, record_id: str = "r", **headers: str) -> None:
        self._service = service
        self._path = f"{BASE}/stream/{record_id}"
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self._task: asyncio.Task[None] | None = None
        self.text = ""
        self.answer: httpx.Response | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._read())
        await until(lambda: self.answer is not None or self.over)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        async with self._service.client.stream("GET", self._path, headers=self._headers) as answer:
            self.answer = answer
            async for part in answer.aiter_text():
                self.text += part

    @property
    def over(self) -> bool:
        """Whether the answer has ended, as it should; raises what went wrong else."""
        return self._task is not None and self._task.done() and self._task.result() is None

    @property
    def events(self) -> list[SentEvent]:
        """The events so far."""
        return events_of(self.text)

    @property
    def kinds(self) -> list[str]:
        """Their names."""
        return [event.kind for event in self.events]


async def unread(service: LiveService, path: str) -> socket.socket:
    """A client that asks for ``path``, and takes nothing of the answer by itself."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)  # noqa: FBT003 - its only parameter has no other way
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, service.address)
    await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


@asynccontextmanager
async def live(
    redis_url: str,
    redis_prefix: str,
    *,
    send_bytes: int | None = None,
    limits: Limits | None = None,
    timings: Timings | None = None,
    store: Store = StoreQueries,
    connection_limits: ConnectionLimits = CONNECTION_LIMITS,
    drain_s: float = 0.0,
    port: int = 0,
    token_interval_s: float = INTERVAL_S,
    **settings: Any,
) -> AsyncIterator[LiveService]:
    """A query service that listens; ``send_bytes`` bounds what the system keeps for a client, ``port`` 0 is any.

    Its file of tokens, if it has one, is looked at every ``token_interval_s``.
    """
    listener = socket.create_server(("127.0.0.1", port), backlog=2048)
    if send_bytes:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_bytes)
    drain, url = Drain(), url_as_query_service(redis_url)
    app = create_app(
        load(ApiSettings, redis_url=url, redis_prefix=redis_prefix, **settings),
        limits=limits,
        timings=timings,
        drain=drain,
        store=store,
        store_timeout_s=STORE_TIMEOUT_S,
        token_interval_s=token_interval_s,
    )
    server = Server(configuration(app), drain, drain_s=drain_s, limits=connection_limits)
    # In a thread of its own, uvicorn leaves the signals of the tests alone.
    thread = Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        await until(lambda: server.started)
        service = LiveService(server, listener.getsockname())
        async with service.client:
            yield service
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join, DEADLINE_S)
        listener.close()
        assert not thread.is_alive()
