"""Shared pipelines of concurrent reads: calls made while a pipeline is under way are sent together in the next.

Waiting is bounded in time and number: where Redis hangs, waiting callers get an error in time, and new ones at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from replog.cancellation import cancel_and_wait
from replog.deadlines import Deadlines
from replog.errors import BUSY, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replog.store.client.command import Command

#: Pipelines under way at once, so that one long answer does not hold up all others.
LANES = 2
#: Calls in one pipeline, so that one answer is not awaited behind hundreds.
CALLS_A_PIPELINE = 128
#: Callers that wait at once. With a Redis that answers there are never as many.
MOST_WAITING = 1000
#: Seconds in which a sender ends once it is cancelled.
ENDS_WITHIN_S = 0.5


class CommandRunner(Protocol):
    """Runs calls of the store; see :class:`replog.store.client.connection.Connection`."""

    #: First part of every key.
    prefix: str

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        """The replies to ``calls``, in order. Raises StoreUnavailable."""


class SharedPipelines:
    """:class:`CommandRunner` that puts concurrent calls of one event loop into shared pipelines of another.

    Every answer comes within ``timeout_s``, or StoreUnavailable does: kind ``timeout``, or ``busy`` at once where
    ``most_waiting`` others wait.
    """

    def __init__(self, connection: CommandRunner, *, timeout_s: float, most_waiting: int = MOST_WAITING) -> None:
        self.prefix = connection.prefix
        self._connection = connection
        self._timeout_s = timeout_s
        self._deadlines = Deadlines(timeout_s)
        self._room = most_waiting
        self._waiting: deque[tuple[Sequence[Command], asyncio.Future[list[Any]]]] = deque()
        self._lanes = 0
        # The event loop itself keeps no task alive.
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        """The replies to ``calls``, in order. Raises StoreUnavailable, also for lack of time or room."""
        if not self._room:
            raise StoreUnavailable(BUSY, "too many calls of the store wait already")
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((calls, answer))
        self._open_lane()
        self._room -= 1
        self._deadlines.begin(answer, partial(self._give_up, answer))
        try:
            return await answer
        finally:
            self._deadlines.end(answer)
            self._room += 1

    async def close(self) -> None:
        """Cancel the pipelines under way; callers that wait get an error."""
        await cancel_and_wait(self._tasks, timeout_s=ENDS_WITHIN_S)
        self._fail(self._waiting, _closed())

    def _open_lane(self) -> None:
        if self._lanes < LANES:
            self._lanes += 1
            lane = asyncio.create_task(self._empty_queue(), name="pipeline sender")
            self._tasks.add(lane)
            lane.add_done_callback(self._tasks.discard)

    def _give_up(self, answer: asyncio.Future[list[Any]]) -> None:
        if not answer.done():
            answer.set_exception(self._timed_out())

    def _timed_out(self) -> StoreUnavailable:
        return StoreUnavailable("timeout", f"no answer in {self._timeout_s} s")

    async def _empty_queue(self) -> None:
        while taken := self._next_pipeline():
            await self._run_together(taken)
        # In the same step as the look at the queue: what comes later must find that this lane is free.
        self._lanes -= 1

    def _next_pipeline(self) -> list[tuple[Sequence[Command], asyncio.Future[list[Any]]]]:
        taken: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]] = []
        size = 0
        while self._waiting and (not taken or size + len(self._waiting[0][0]) <= CALLS_A_PIPELINE):
            asked = self._waiting.popleft()
            # Who asked may have gone away, or given up.
            if not asked[1].done():
                taken.append(asked)
                size += len(asked[0])
        return taken

    async def _run_together(self, taken: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]]) -> None:
        try:
            # The connection's own limit is for one reply.
            async with asyncio.timeout(self._timeout_s):
                replies = iter(await self._connection.run([call for calls, _ in taken for call in calls]))
        except TimeoutError:
            self._fail(taken, self._timed_out())
            return
        except asyncio.CancelledError:
            self._fail(taken, _closed())
            raise
        except Exception as error:  # noqa: BLE001 - belongs to those who wait, whatever it is
            self._fail(taken, error)
            return
        for calls, answer in taken:
            mine = [next(replies) for _ in calls]
            # Who asked may have gone away.
            if not answer.done():
                answer.set_result(mine)

    def _fail(self, taken: Iterable[tuple[Sequence[Command], asyncio.Future[list[Any]]]], error: Exception) -> None:
        for _, answer in taken:
            if not answer.done():
                answer.set_exception(error)


def _closed() -> StoreUnavailable:
    return StoreUnavailable("connection", "the connection is being closed")
