"""The HTTP server of probes and metrics. It runs in a thread of its own, so that a hanging collector is seen to hang.

The thread has an event loop of its own, so that idle connections cost no threads. The number of connections and the
time of each are bounded, so that a new request is always answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, NamedTuple, Self

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from replog.cancellation import cancel_and_wait
from replog.errors import SettingsError
from replog_collector.health.readiness import Readiness

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from replog_collector.health.progress import Progress

_TEXT = "text/plain; charset=utf-8"


class Limits(NamedTuple):
    """Limits of clients; times in seconds."""

    #: From the connection to the end of the request's head.
    head_s: float = 5.0
    #: From the connection to the end of the response.
    answer_s: float = 10.0
    #: Bytes of a request's head.
    head_bytes: int = 8192
    #: Connections at a time; when one more is opened, the oldest is closed.
    connections: int = 64
    #: Time of all readiness checks together.
    check_s: float = 2.0


_USUAL = Limits()
#: Seconds between two calls of ``watch``.
WATCH_INTERVAL_S = 0.5
#: Seconds in which connections end once the server is stopped.
STOP_S = 0.5


class _Answer(NamedTuple):
    status: str
    body: bytes
    kind: str = _TEXT


class HealthServer:
    """Answers ``/livez``, ``/readyz`` and ``/metrics``; started and stopped by ``with``, inside a running event loop.

    ``checks`` are awaited in that loop, by the names of what they check; the collector is ready when none raises.
    ``watch`` is called every half second from the server's thread.
    """

    def __init__(
        self,
        host: str,
        port: int,
        progress: Progress,
        checks: Mapping[str, Callable[[], Awaitable[None]]],
        *,
        watch: Callable[[], None],
        limits: Limits = _USUAL,
    ) -> None:
        self._progress = progress
        self._readiness = Readiness(checks, limits.check_s)
        self._watch = watch
        self._limits = limits
        try:
            self._socket = _listen(host, port)
        except OSError as error:
            raise SettingsError(
                f"REPLOG_COLLECTOR_HOST={host} REPLOG_COLLECTOR_PORT={port}: cannot listen there ({error}); "
                "allowed: an address of this machine and a free port"
            ) from None
        #: The port it listens on.
        self.port = int(self._socket.getsockname()[1])
        #: Open connections, oldest first.
        self._connections: dict[asyncio.Task[None], None] = {}
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._readiness.close()
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(2 * STOP_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._socket, limit=self._limits.head_bytes)
        try:
            while not self._stopping.is_set():
                self._watch()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_INTERVAL_S):
                        await self._stopping.wait()
        finally:
            server.close()
            # All other tasks: also those of connections that are just being accepted.
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await cancel_and_wait(others, timeout_s=STOP_S)
            # Sockets are closed in the loop's next turn.
            await asyncio.sleep(0)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._converse(reader, writer), name="health connection")
        self._connections[task] = None
        task.add_done_callback(lambda done: self._over(done, writer))
        open_ones = [connection for connection in self._connections if not connection.cancelling()]
        for oldest in open_ones[: -self._limits.connections]:
            oldest.cancel()

    def _over(self, done: asyncio.Task[None], writer: asyncio.StreamWriter) -> None:
        # Not in _converse, which never begins for a connection that is closed at once.
        del self._connections[done]
        writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # With no buffer, drain() returns once everything has left this process.
        writer.transport.set_write_buffer_limits(0)
        # Clients that break off or take too long are expected.
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(self._limits.answer_s):
                writer.write(await self._answer(reader))
                await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(self._limits.head_s):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _http(_text("431 Request Header Fields Too Large", "the head is too large"))
        method, _, rest = head.partition(b" ")
        path = rest.split(b" ")[0].partition(b"?")[0]
        if method not in {b"GET", b"HEAD"}:
            return _http(_text("405 Method Not Allowed", "try GET or HEAD"), "Allow: GET, HEAD")
        return _http(await self._route(path), with_body=method == b"GET")

    async def _route(self, path: bytes) -> _Answer:
        match path:
            case b"/livez":
                reason = self._progress.stalled()
                return _text("503 Service Unavailable", reason) if reason else _text("200 OK", "ok")
            case b"/readyz":
                troubles = await self._readiness.troubles()
                text = "\n".join(f"{name}: {kind}" for name, kind in troubles.items())
                return _text("503 Service Unavailable", text) if troubles else _text("200 OK", "ok")
            case b"/metrics":
                await self._readiness.update_gauges()
                return _Answer("200 OK", generate_latest(), CONTENT_TYPE_LATEST)
        return _text("404 Not Found", "try /livez, /readyz or /metrics")


def _listen(host: str, port: int) -> socket.socket:
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address[:2], family=family)


def _text(status: str, text: str) -> _Answer:
    return _Answer(status, f"{text}\n".encode())


def _http(answer: _Answer, *more: str, with_body: bool = True) -> bytes:
    head = [
        f"HTTP/1.1 {answer.status}",
        f"Content-Type: {answer.kind}",
        f"Content-Length: {len(answer.body)}",
        "Connection: close",
        *more,
    ]
    return "\r\n".join([*head, "", ""]).encode() + (answer.body if with_body else b"")
