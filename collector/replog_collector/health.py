"""Health and metrics over HTTP, from a thread of their own: a loop that hangs must still be seen to hang."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from replog.errors import ReplogError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from replog_collector.progress import Progress

#: How long a readiness check may take, in seconds.
CHECK_S = 2.0


class HealthServer:
    """Answers ``/livez``, ``/readyz`` and ``/metrics``; started and stopped by ``with``, inside a running event loop.

    ``checks`` are awaited in that loop; the collector is ready where none raises. ``look`` is called every half second
    from the server's thread.
    """

    def __init__(
        self,
        host: str,
        port: int,
        progress: Progress,
        checks: list[Callable[[], Awaitable[None]]],
        *,
        look: Callable[[], None],
    ) -> None:
        self._progress = progress
        self._checks = checks
        self._loop = asyncio.get_running_loop()
        try:
            self._server: _Server = make_server(host, port, self._answer, _Server, _SilentHandler)
        except OSError as error:
            raise SettingsError(
                f"REPLOG_COLLECTOR_HOST={host} REPLOG_COLLECTOR_PORT={port}: cannot listen there ({error}); "
                "allowed: an address of this machine and a free port"
            ) from None
        self._server.look = look
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.server_port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        routes = {"/livez": self._livez, "/readyz": self._readyz, "/metrics": _metrics}
        status, kind, body = routes.get(environ["PATH_INFO"], _not_found)()
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def _livez(self) -> tuple[str, str, bytes]:
        reason = self._progress.stalled()
        return _text("503 Service Unavailable", reason) if reason else _text("200 OK", "ok")

    def _readyz(self) -> tuple[str, str, bytes]:
        try:
            asyncio.run_coroutine_threadsafe(self._check(), self._loop).result(CHECK_S)
        except (ReplogError, TimeoutError, CancelledError) as error:
            return _text("503 Service Unavailable", str(error) or "a dependency does not answer")
        return _text("200 OK", "ok")

    async def _check(self) -> None:
        async with asyncio.timeout(CHECK_S):
            for check in self._checks:
                await check()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    look: Callable[[], None]

    def service_actions(self) -> None:
        self.look()


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Probes come every few seconds and are no news."""


def _metrics() -> tuple[str, str, bytes]:
    return "200 OK", CONTENT_TYPE_LATEST, generate_latest()


def _not_found() -> tuple[str, str, bytes]:
    return _text("404 Not Found", "try /livez, /readyz or /metrics")


def _text(status: str, text: str) -> tuple[str, str, bytes]:
    return status, "text/plain; charset=utf-8", f"{text}\n".encode()
