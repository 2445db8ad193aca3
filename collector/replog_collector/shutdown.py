"""The end of a collector: in order as far as the time for it goes, and within that time in any case.

Whatever does not end by itself is cut off, at moments that are counted from the request on, so that the waits do not
add up. What was not committed by then comes again.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from replog.cancellation import cancel_and_wait
from replog.errors import FatalError
from replog.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

#: How long what was cut off may go on after it was cancelled, again and again, in seconds.
CANCEL_S = 2.5


class Limits(NamedTuple):
    """Seconds from the request to stop; operators are promised that the process has ended within 10."""

    #: Until then, what is in hand may be finished.
    work_s: float = 5.0
    #: Until then, the group may be left and what is sent may be acknowledged.
    leave_s: float = 8.0
    #: Then the process ends, wherever it is.
    end_s: float = 9.0


_USUAL = Limits()


class Shutdown:
    """Ends a process; made in a running event loop.

    ``end`` is called with the exit code from a thread of its own where the process is still there after
    ``limits.end_s``, and need not return.
    """

    def __init__(self, limits: Limits = _USUAL, *, end: Callable[[int], object] = os._exit) -> None:
        self._limits = limits
        self._end = end
        self._requested = asyncio.Event()
        self._requested_s: float | None = None
        self._failure: BaseException | None = None

    def request(self) -> None:
        """Begin to count the time, once; may be called from a signal handler."""
        if self._requested_s is not None:
            return
        self._requested_s = time.monotonic()
        self._requested.set()
        overdue = threading.Timer(self._limits.end_s, self._overdue)
        overdue.name, overdue.daemon = "shutdown", True
        overdue.start()

    async def work(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run ``work`` until it ends, or until the time for it is over after the request. Raises what it raises."""
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
        """Run ``steps`` beside each other until all have ended, or the time for that is over after the request.

        Raises what the first of them raised.
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
        begun_s = time.monotonic() if self._requested_s is None else self._requested_s
        return max(0.0, begun_s + limit_s - time.monotonic())

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
