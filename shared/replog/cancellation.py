"""Owned concurrency: ends tasks for certain, and waits for all that were started."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Coroutine, Iterable

_T = TypeVar("_T")
#: Seconds after which a task that goes on is cancelled again.
REPEAT_S = 0.1
#: Seconds in which work that was begun ahead ends once it is cancelled.
ENDS_WITHIN_S = 0.5


async def cancel_and_wait(tasks: Iterable[asyncio.Future[Any]], *, timeout_s: float) -> set[asyncio.Future[Any]]:
    """Cancel ``tasks`` and wait until they have ended; returns those that still run after ``timeout_s`` seconds.

    One ``cancel()`` is not enough: ``asyncio.wait_for`` of Python 3.11, which drivers use, swallows a cancellation
    that arrives together with the result it waits for. Errors and results stay with the tasks.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    running = {task for task in tasks if not task.done()}
    while running and (left_s := deadline - loop.time()) > 0:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=min(REPEAT_S, left_s))
    return running


async def finish_all(*work: Awaitable[_T]) -> list[_T]:
    """Await all of ``work`` concurrently; returns its results in order.

    Raises the first error, once nothing of it runs any more. A caller that is cancelled cancels all of it, and waits
    for it all the same.
    """
    results: list[_T] = []
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results


async def finish_in_order(work: AsyncIterable[Coroutine[Any, Any, _T]], *, ahead: int, name: str) -> AsyncGenerator[_T]:
    """The results of ``work`` in its order; up to ``ahead`` more of it run while one is awaited, or used.

    Raises the first error of them in that order. Whoever leaves it early closes it: then nothing of it runs any more.
    """
    running: deque[asyncio.Task[_T]] = deque()
    try:
        async for each in work:
            running.append(asyncio.create_task(each, name=name))
            if len(running) > ahead:
                yield await running.popleft()
        while running:
            yield await running.popleft()
    finally:
        await cancel_and_wait(running, timeout_s=ENDS_WITHIN_S)
        for task in running:
            # Nobody asks for these any more: asyncio would log an error that nobody has seen.
            if task.done() and not task.cancelled():
                task.exception()
