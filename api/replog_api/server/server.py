"""One serving process, from its start to the end of its last answer.

A stop has three steps. *Drain*: ``/readyz`` says 503, so that balancers send nobody any more, while requests are still
taken, each the last one of its connection. *Close*: no new connection is taken, and those that were opened before are.
*Finish*: what is in hand is answered, and who waits for changes is sent away. A further signal ends the step.
"""

from __future__ import annotations

import asyncio
import faulthandler
import multiprocessing
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import uvicorn

from replog.cancellation import cancel_and_wait
from replog_api.server.connections import ConnectionLimits, Connections, Drain
from replog_api.server.listening import let_nobody_begin, somebody_waits
from replog_api.server.protocol import BoundedProtocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from socket import socket
    from types import FrameType

    from starlette.types import ASGIApp

#: Seconds in which a process ends after SIGTERM, unless its drain is set to more than leaves time for the rest.
STOPPED_WITHIN_S = 9.8
#: Of these: least time for answers under way after the drain; and what everything else takes: opening connections that
#: were begun, ending tasks, closing the store.
LEAST_FINISH_S, OTHER_STEPS_S = 2.5, 2.3
#: Seconds in which a connection is open that a client had begun to open, and most seconds until it is accepted.
HANDSHAKE_S, LAST_CALL_S = 0.2, 0.3
#: Seconds in which a task ends that is told to.
_TASKS_END_WITHIN_S = 0.3
_POLL_S = 0.05
#: What asks a process to stop.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def finish_s(drain_s: float) -> float:
    """How long answers under way may take after a drain of ``drain_s``."""
    return max(LEAST_FINISH_S, STOPPED_WITHIN_S - OTHER_STEPS_S - drain_s)


def stopped_within_s(drain_s: float) -> float:
    """The most seconds from SIGTERM to the end of the process; it ends itself then, whatever it waits for."""
    return drain_s + finish_s(drain_s) + OTHER_STEPS_S


def hold_signals() -> None:
    """Keep signals to stop until somebody handles them, also in processes that are started meanwhile."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def release_signals() -> None:
    """Take those that were kept, and all others from now on."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def configuration(app: ASGIApp) -> uvicorn.Config:
    """Uvicorn's configuration for :class:`Server`."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        # Whose a request is, the gate finds out.
        proxy_headers=False,
    )


class Server(uvicorn.Server):
    """Serves the configuration's application; ``drain`` is what the application knows of the stop."""

    def __init__(self, config: uvicorn.Config, drain: Drain, *, drain_s: float, limits: ConnectionLimits) -> None:
        super().__init__(config)
        self._connections = Connections(limits, drain)
        self.server_state = self._connections
        self._drain = drain
        self._drain_s = drain_s
        self._drained_at_s: float | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and, where nobody ignores it, SIGINT as requests to stop, and nothing else afterwards."""
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
        """Begin to stop; asked again, stop sooner."""
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
        """Begin to serve; end with the parent, where this is the process of a supervisor."""
        await super().startup(sockets)
        parent = multiprocessing.parent_process()
        if parent:
            loop = asyncio.get_running_loop()
            loop.add_reader(parent.sentinel, self._parent_died, parent.sentinel)

    def _parent_died(self, sentinel: int) -> None:
        asyncio.get_running_loop().remove_reader(sentinel)
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
        """Close and finish."""
        await _take_the_last(sockets or [])
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in self._open:
            connection.shutdown()
        # Each ends by itself in time.
        while self._connections.connections and not self.force_exit:  # noqa: ASYNC110 - signal handlers set no event
            await asyncio.sleep(_POLL_S)
        for connection in self._open:
            connection.transport.abort()
        if self._connections.tasks:
            # They find out by themselves that their connections are gone; uvicorn reports what it has to cancel.
            await asyncio.wait(self._connections.tasks, timeout=_TASKS_END_WITHIN_S)
        await cancel_and_wait(self._connections.tasks, timeout_s=_TASKS_END_WITHIN_S)
        await self.lifespan.shutdown()


async def _take_the_last(listeners: Sequence[socket]) -> None:
    """Let clients that have begun to connect come in, and no others."""
    for listener in listeners:
        let_nobody_begin(listener)
    await asyncio.sleep(HANDSHAKE_S)
    until_s = time.monotonic() + LAST_CALL_S
    while any(map(somebody_waits, listeners)) and time.monotonic() < until_s:  # noqa: ASYNC110 - the system tells nobody
        await asyncio.sleep(0.001)
