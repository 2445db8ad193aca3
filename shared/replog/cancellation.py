"""Owned concurrency: ends tasks for certain, and waits for all that were started."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

_T = TypeVar("_T")
#: Seconds after which a task that goes on is cancelled again.
REPEAT_S = 0.1


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
