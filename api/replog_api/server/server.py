"""The server of one process, from its start to the end of its last response.

A stop has three steps. *Drain*: ``/readyz`` says 503, so that balancers send no more clients, while requests are still
taken, each the last one of its connection. *Close*: no connection is accepted any more, except those opened before.
*Finish*: requests under way are answered, and waiting clients are sent away. A further signal ends the step.
"""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import uvicorn

from replog.cancellation import cancel_and_wait
from replog_api.server.connections import ConnectionLimits, Connections, Drain
from replog_api.server.listening import has_waiting_connection, refuse_new_connections
from replog_api.server.protocol import BoundedProtocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection
    from socket import socket
    from types import FrameType

    from starlette.types import ASGIApp

#: Seconds in which a process ends after SIGTERM, unless its drain is set to more than leaves time for the rest.
STOPPED_WITHIN_S = 9.8
#: Of these: the least time for responses under way after the drain, and the time of all else: accepting connections
#: that were begun, ending tasks, closing the store.
LEAST_FINISH_S, OTHER_STEPS_S = 2.5, 2.3
#: Seconds in which a handshake under way completes, and most seconds until its connection is accepted.
HANDSHAKE_S, LAST_ACCEPT_S = 0.2, 0.3
#: Seconds in which a task ends once it is cancelled.
_TASKS_END_WITHIN_S = 0.3
_POLL_S = 0.05
#: Signals that ask a process to stop.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def finish_s(drain_s: float) -> float:
    """Seconds that responses under way may take after a drain of ``drain_s``."""
    return max(LEAST_FINISH_S, STOPPED_WITHIN_S - OTHER_STEPS_S - drain_s)


def stopped_within_s(drain_s: float) -> float:
    """Seconds from SIGTERM after which the process ends itself, whatever it waits for."""
    return drain_s + finish_s(drain_s) + OTHER_STEPS_S


def hold_signals() -> None:
    """Block stop signals until they are handled, also in processes that are started meanwhile."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def release_signals() -> None:
    """Unblock stop signals; pending ones are delivered."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def configuration(app: ASGIApp) -> uvicorn.Config:
    """The configuration of uvicorn for :class:`Server`."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        # The request middleware determines the client of a request.
        proxy_headers=False,
    )


class Server(uvicorn.Server):
    """Serves the application of ``config``; ``drain`` tells the application about the stop.

    ``stops``, in a worker process, has a message for each signal of its supervisor to stop, and ends with that.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        drain: Drain,
        *,
        drain_s: float,
        limits: ConnectionLimits,
        stops: Connection | None = None,
    ) -> None:
        super().__init__(config)
        self._stops = stops
        self._connections = Connections(limits, drain)
        self.server_state = self._connections
        self._drain = drain
        self._drain_s = drain_s
        self._drained_at_s: float | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT as requests to stop, unless they are ignored; restore the handlers afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [number for number in STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        release_signals()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a further signal ends the step under way."""
        if not self.should_exit:
            self.should_exit = self._drain.begun = True
            faulthandler.dump_traceback_later(stopped_within_s(self._drain_s), exit=True)
        elif self._draining:
            self._drained_at_s = 0.0
        else:
            self.force_exit = True

    @property
    def _draining(self) -> bool:
        return self._drained_at_s is None or time.monotonic() < self._drained_at_s

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin to serve; in a worker process, stop when the supervisor says so or ends."""
        await super().startup(sockets)
        if self._stops:
            asyncio.get_running_loop().add_reader(self._stops.fileno(), self._stop_as_asked, self._stops)

    def _stop_as_asked(self, stops: Connection) -> None:
        try:
            stops.recv_bytes()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(stops.fileno())
        self.handle_exit(signal.SIGTERM, None)

    async def on_tick(self, counter: int) -> bool:
        """Whether the drain is over."""
        if not await super().on_tick(counter):
            return False
        if self._drained_at_s is None:
            self._begin_drain()
        return not self._draining

    def _begin_drain(self) -> None:
        self._drain.begun = True
        self._drained_at_s = time.monotonic() + self._drain_s
        for connection in self._open:
            connection.begin_drain()

    @property
    def _open(self) -> list[BoundedProtocol]:
        return cast("list[BoundedProtocol]", list(self._connections.connections))

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Close the listening sockets, finish the responses under way, and close the application.

        A process that is stopped before it serves drains first: others may serve at the same sockets.
        """
        if self._drained_at_s is None:
            await self.main_loop()
        await _accept_last_connections(sockets or [])
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in self._open:
            connection.shutdown()
        # Each connection has a limit of its own.
        while self._connections.connections and not self.force_exit:  # noqa: ASYNC110 - signal handlers set no event
            await asyncio.sleep(_POLL_S)
        for connection in self._open:
            connection.transport.abort()
        if self._connections.tasks:
            # Tasks notice by themselves that their connections are gone; uvicorn would log those it cancels.
            await asyncio.wait(self._connections.tasks, timeout=_TASKS_END_WITHIN_S)
        await cancel_and_wait(self._connections.tasks, timeout_s=_TASKS_END_WITHIN_S)
        await self.lifespan.shutdown()


async def _accept_last_connections(listeners: Sequence[socket]) -> None:
    """Accept the connections that clients have begun to open, and no others."""
    for listener in listeners:
        refuse_new_connections(listener)
    await asyncio.sleep(HANDSHAKE_S)
    until_s = time.monotonic() + LAST_ACCEPT_S
    while any(map(has_waiting_connection, listeners)) and time.monotonic() < until_s:  # noqa: ASYNC110 - the system tells nobody
        await asyncio.sleep(0.001)
