"""The supervisor of worker processes that share one listening socket: starts, replaces and stops them."""

from __future__ import annotations

import multiprocessing
import signal
import time
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, NamedTuple

from replog.telemetry import logger
from replog_api.server.server import STOP_SIGNALS, hold_signals, release_signals, stopped_within_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from socket import socket
    from types import FrameType

#: Seconds between two checks of signals and processes.
POLL_S = 0.1
#: Seconds from the start of a worker before which it is not replaced.
LEAST_LIFE_S = 1.0

_SPAWN = multiprocessing.get_context("spawn")


class _Worker(NamedTuple):
    """A worker process, and where it is asked to stop."""

    process: SpawnProcess
    stops: Connection
    started_s: float


class Supervisor:
    """Keeps ``count`` workers running, each of which calls ``work(listener, stops)``, until SIGTERM or SIGINT.

    ``stops`` then has a message for each of these signals.
    """

    def __init__(
        self, work: Callable[[socket, Connection], None], count: int, listener: socket, *, drain_s: float
    ) -> None:
        self._work = work
        self._listener = listener
        self._stopped_within_s = stopped_within_s(drain_s)
        self._signals = 0
        self._count = count
        self._workers: list[_Worker] = []

    def run(self) -> None:
        """Start the workers, keep them running, and return once all have ended."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._note)
        # Its helper process would let signals through.
        resource_tracker.ensure_running()
        release_signals()
        while not self._signals:
            self._start_missing()
            wait([worker.process.sentinel for worker in self._running()], POLL_S)
        self._stop()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _start_missing(self) -> None:
        now_s = time.monotonic()
        for worker in list(self._workers):
            if not worker.process.is_alive() and now_s - worker.started_s >= LEAST_LIFE_S:
                logger().warning("worker_died", pid=worker.process.pid, exit_code=worker.process.exitcode)
                worker.stops.close()
                self._workers.remove(worker)
        while len(self._workers) < self._count:
            self._workers.append(self._started(now_s))

    def _started(self, now_s: float) -> _Worker:
        theirs, ours = _SPAWN.Pipe(duplex=False)
        process = _SPAWN.Process(target=self._work, args=(self._listener, theirs))
        # The worker holds them until it ignores them.
        hold_signals()
        process.start()
        release_signals()
        theirs.close()
        return _Worker(process, ours, now_s)

    def _stop(self) -> None:
        """Pass on every signal; kill the workers that do not end in time."""
        until_s = time.monotonic() + self._stopped_within_s
        # The last worker closes the socket once no connection waits there any more.
        self._listener.close()
        passed_on = 0
        while (running := self._running()) and time.monotonic() < until_s:
            if passed_on < self._signals:
                passed_on += 1
                for worker in running:
                    # It may have ended meanwhile.
                    with suppress(OSError):
                        worker.stops.send_bytes(b"stop")
            wait([worker.process.sentinel for worker in running], POLL_S)
        for worker in self._running():
            worker.process.kill()
            worker.process.join()

    def _running(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.process.is_alive()]
