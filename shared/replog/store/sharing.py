"""Concurrent reads share pipelines: what is asked while an answer is under way goes out together next."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.connection import Call

#: Pipelines under way at once: one long answer does not hold up all others.
LANES = 2
#: Calls in one pipeline, so that one answer is not awaited behind hundreds.
CALLS_A_PIPELINE = 128


class Runs(Protocol):
    """Runs calls of the store; see :class:`replog.store.connection.Connection`."""

    #: First part of every key.
    prefix: str

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """The replies to ``calls``, in order. Raises StoreUnavailable."""


class SharedPipelines:
    """:class:`Runs` that puts concurrent calls of one event loop into shared pipelines of another."""

    def __init__(self, connection: Runs) -> None:
        self.prefix = connection.prefix
        self._connection = connection
        self._waiting: deque[tuple[Sequence[Call], asyncio.Future[list[Any]]]] = deque()
        self._lanes = 0
        # The event loop itself keeps no task alive.
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """As the protocol says."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((calls, answer))
        if self._lanes < LANES:
            self._lanes += 1
            lane = asyncio.create_task(self._empty_queue())
            self._tasks.add(lane)
            lane.add_done_callback(self._tasks.discard)
        return await answer

    async def _empty_queue(self) -> None:
        while self._waiting:
            await self._run_together(self._next_pipeline())
        # In the same step as the look at the queue: what comes later must find that this lane is free.
        self._lanes -= 1

    def _next_pipeline(self) -> list[tuple[Sequence[Call], asyncio.Future[list[Any]]]]:
        taken = [self._waiting.popleft()]
        size = len(taken[0][0])
        while self._waiting and size + len(self._waiting[0][0]) <= CALLS_A_PIPELINE:
            taken.append(self._waiting.popleft())
            size += len(taken[-1][0])
        return taken

    async def _run_together(self, taken: list[tuple[Sequence[Call], asyncio.Future[list[Any]]]]) -> None:
        try:
            replies = iter(await self._connection.run([call for calls, _ in taken for call in calls]))
        except Exception as error:  # noqa: BLE001 - belongs to those who wait, whatever it is
            for _, answer in taken:
                if not answer.done():
                    answer.set_exception(error)
            return
        for calls, answer in taken:
            mine = [next(replies) for _ in calls]
            # Who asked may have gone away.
            if not answer.done():
                answer.set_result(mine)
