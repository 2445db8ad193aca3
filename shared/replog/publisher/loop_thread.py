"""An event loop on a thread of its own, which runs coroutines for other threads."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import CancelledError, Future, wait
from typing import TYPE_CHECKING, Any, TypeVar

from replog.cancellation import cancel_and_wait
from replog.errors import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

#: Seconds that the tasks which are left at the end may take to end, and then the thread.
CANCEL_S = 2.0
JOIN_S = 2.0
#: Seconds that a thread waits at once. CPython misses a signal that comes just before a wait until the wait is over, so
#: this is how late Ctrl-C may be.
WAIT_S = 0.5


class LoopThread:
    """A daemon thread with an event loop: it begins with :meth:`start`, ends with :meth:`stop`, and runs once.

    All methods may be called by any thread except this one. In a forked child, which has no such thread, they raise
    RuntimeError.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        # Reentrant: a signal handler may make a call while its thread makes one.
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0
        self._refusing = False
        self._calls: set[Future[Any]] = set()

    @property
    def forked(self) -> bool:
        """Whether this process is a fork of the one that the thread runs in."""
        return self._process not in (0, os.getpid())

    def start(self) -> None:
        """Begin to run.

        Raises:
            RuntimeError: it was started before.
        """
        with self._lock:
            if self._loop is not None:
                raise RuntimeError("a publisher is entered once; create another one")
            self._process = os.getpid()
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._run, args=(self._loop,), name=self._name, daemon=True)
            self._thread.start()

    def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run the coroutine that ``make`` returns, and return its result or raise its error.

        If the waiting thread is interrupted, the coroutine goes on.

        Raises:
            RuntimeError: the thread was not started, refuses calls, or belongs to the parent process.
            BrokerUnavailable: the thread ended before the coroutine did.
        """
        # Before the lock: a forked child may have it locked for ever.
        loop = self._running_loop()
        with self._lock:
            if self._refusing:
                raise RuntimeError("the publisher was left; no further events can be published")
            future = asyncio.run_coroutine_threadsafe(make(), loop)
            self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        try:
            return _result_of(future)
        except CancelledError:
            raise BrokerUnavailable("the publisher was left before the event was sent") from None

    def refuse_calls(self, timeout_s: float | None) -> None:
        """Refuse further calls, and wait for those that run, at most for ``timeout_s`` seconds if given."""
        self._running_loop()
        with self._lock:
            self._refusing = True
            running = set(self._calls)
        deadline_s = _deadline_s(timeout_s)
        while running and (left_s := deadline_s - time.monotonic()) > 0:
            running = wait(running, min(WAIT_S, left_s)).not_done

    def finish(self, make: Callable[[], Coroutine[Any, Any, None]], timeout_s: float | None) -> None:
        """Run the last coroutine, after :meth:`refuse_calls`; raises its error.

        Raises:
            TimeoutError: it runs for longer than ``timeout_s`` seconds.
        """
        _result_of(asyncio.run_coroutine_threadsafe(make(), self._running_loop()), timeout_s)

    def stop(self) -> None:
        """Cancel what still runs, and end the thread."""
        loop = self._running_loop()
        asyncio.run_coroutine_threadsafe(self._end(), loop)
        if self._thread is not None:
            self._thread.join(CANCEL_S + JOIN_S)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self.forked:
            raise RuntimeError(
                f"the publisher was entered in process {self._process}, and this is a fork of it, process"
                f" {os.getpid()}; create a publisher in each process, after the fork"
            )
        if self._loop is None:
            raise RuntimeError("a publisher is used with `with`")
        return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_forever()
        finally:
            loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await cancel_and_wait(others, timeout_s=CANCEL_S)
        asyncio.get_running_loop().stop()


def _deadline_s(timeout_s: float | None) -> float:
    return float("inf") if timeout_s is None else time.monotonic() + timeout_s


def _result_of(future: Future[T], timeout_s: float | None = None) -> T:
    """The result of ``future``; raises its error, or TimeoutError once ``timeout_s`` seconds have passed."""
    deadline_s = _deadline_s(timeout_s)
    while True:
        left_s = deadline_s - time.monotonic()
        try:
            return future.result(min(WAIT_S, max(left_s, 0.0)))
        except TimeoutError:
            # The coroutine may have raised it, too.
            if future.done() or left_s <= WAIT_S:
                raise
