"""The shutdown of a collector: in order where there is time for it, and within its deadline in any case.

Steps that do not end by themselves are cancelled at deadlines counted from the request to stop, so that waits do not
add up. Events not committed by then come again.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from replog.cancellation import cancel_and_wait
from replog.errors import FatalError
from replog.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

#: Seconds in which a step ends once it is cancelled.
CANCEL_S = 2.5


class Limits(NamedTuple):
    """Deadlines in seconds from the request to stop; operators are promised that the process ends within 10."""

    #: For the batches in hand.
    work_s: float = 5.0
    #: For leaving the group, and for acknowledgements of what was sent.
    leave_s: float = 8.0
    #: For the process, which then exits wherever it is.
    end_s: float = 9.0


_USUAL = Limits()


def _call_from_thread(delay_s: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(delay_s, call)
    timer.name, timer.daemon = "shutdown", True
    timer.start()


class Shutdown:
    """Ends a process in time. Made in a running event loop.

    Where the process still runs after ``limits.end_s``, ``end`` is called with the exit code; it need not return.
    ``alarm`` calls a function after some seconds, usually from a thread of its own: an event loop may hang.
    """

    def __init__(
        self,
        limits: Limits = _USUAL,
        *,
        end: Callable[[int], object] = os._exit,
        alarm: Callable[[float, Callable[[], None]], object] = _call_from_thread,
    ) -> None:
        self._limits = limits
        self._end = end
        self._alarm = alarm
        self._time_s = asyncio.get_running_loop().time
        self._requested = asyncio.Event()
        self._requested_s: float | None = None
        self._failure: BaseException | None = None

    def request(self) -> None:
        """Start the deadlines, once; may be called from a signal handler."""
        if self._requested_s is not None:
            return
        self._requested_s = self._time_s()
        self._requested.set()
        self._alarm(self._limits.end_s, self._overdue)

    async def work(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run ``work`` until it ends, or until its deadline after the request. Raises what it raises."""
        task = asyncio.create_task(work, name=name)
        requested = asyncio.create_task(self._requested.wait(), name="stop request")
        try:
            await asyncio.wait([task, requested], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await asyncio.wait([task], timeout=self._left_s(self._limits.work_s))
        finally:
            if not task.done():
                logger().warning("stop_cut_short", what=name)
            self._failure = task.exception() if task.done() and not task.cancelled() else None
            self.request()
            await cancel_and_wait([task, requested], timeout_s=CANCEL_S)
        if task.done() and not task.cancelled():
            task.result()

    async def leave(self, **steps: Callable[[], Awaitable[None]]) -> None:
        """Run ``steps`` concurrently until all have ended, or until their deadline after the request.

        Raises the error of the first step that failed.
        """
        self.request()
        tasks = [asyncio.create_task(_awaited(step), name=name) for name, step in steps.items()]
        try:
            _, running = await asyncio.wait(tasks, timeout=self._left_s(self._limits.leave_s))
            for task in running:
                logger().warning("stop_cut_short", what=task.get_name())
        finally:
            await cancel_and_wait(tasks, timeout_s=CANCEL_S)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()

    def _left_s(self, limit_s: float) -> float:
        now_s = self._time_s()
        begun_s = now_s if self._requested_s is None else self._requested_s
        return max(0.0, begun_s + limit_s - now_s)

    def _overdue(self) -> None:
        logger().warning("stop_cut_short", what="process")
        match self._failure:
            case None:
                code = 0
            case FatalError() as failure:
                code = failure.exit_code
                print(failure, file=sys.stderr)  # noqa: T201 - the one line that the operator's contract asks for
            case failure:
                code = 1
                logger().error("stop_cut_short", what="process", error=repr(failure))
        sys.stderr.flush()
        self._end(code)


async def _awaited(step: Callable[[], Awaitable[None]]) -> None:
    await step()
