"""The supervisor of worker processes that share one listening socket: starts, replaces and stops them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from replog.telemetry import logger
from replog_api.server.server import STOP_SIGNALS, hold_signals, release_signals, stopped_within_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import SpawnProcess
    from socket import socket
    from types import FrameType

#: Seconds between two checks of signals and processes.
POLL_S = 0.1
#: Seconds from the start of a worker before which it is not replaced.
LEAST_LIFE_S = 1.0

_SPAWN = multiprocessing.get_context("spawn")


class Supervisor:
    """Keeps ``count`` workers running, each of which calls ``work(listener)``, until SIGTERM or SIGINT."""

    def __init__(self, work: Callable[[socket], None], count: int, listener: socket, *, drain_s: float) -> None:
        self._work = work
        self._listener = listener
        self._stopped_within_s = stopped_within_s(drain_s)
        self._signals = 0
        self._count = count
        self._workers: dict[SpawnProcess, float] = {}

    def run(self) -> None:
        """Start the workers, keep them running, and return once all have ended."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._note)
        # Its helper process would let signals through.
        resource_tracker.ensure_running()
        release_signals()
        while not self._signals:
            self._start_missing()
            wait([worker.sentinel for worker in self._running()], POLL_S)
        self._stop()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _start_missing(self) -> None:
        now_s = time.monotonic()
        for worker, started_s in list(self._workers.items()):
            if not worker.is_alive() and now_s - started_s >= LEAST_LIFE_S:
                logger().warning("worker_died", pid=worker.pid, exit_code=worker.exitcode)
                del self._workers[worker]
        while len(self._workers) < self._count:
            worker = _SPAWN.Process(target=self._work, args=(self._listener,))
            # A worker that is stopped before it serves still answers the clients that have connected.
            hold_signals()
            worker.start()
            release_signals()
            self._workers[worker] = now_s

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
                    os.kill(worker.pid or 0, signal.SIGTERM)
            wait([worker.sentinel for worker in running], POLL_S)
        for worker in self._running():
            worker.kill()
            worker.join()

    def _running(self) -> list[SpawnProcess]:
        return [worker for worker in self._workers if worker.is_alive()]
