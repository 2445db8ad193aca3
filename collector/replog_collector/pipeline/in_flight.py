"""The task that runs beside the collector's loop: one at a time, owned by the loop and ended with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from replog.cancellation import cancel_and_wait

if TYPE_CHECKING:
    from collections.abc import Coroutine

#: Seconds in which the task ends once it is cancelled.
END_S = 2.0


class InFlight:
    """One task at a time. Its owner awaits :meth:`end`, whatever was raised meanwhile."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run ``work`` in a task. The one before has to be over, as :meth:`over` tells."""
        if self._task is not None:
            work.close()
            raise RuntimeError(f"{self._task.get_name()} is still on its way")
        self._task = asyncio.create_task(work, name=name)

    async def over(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing runs, at most ``timeout_s`` (None: without limit); returns whether that is so.

        Raises what the task raised, once.
        """
        task = self._task
        if task is None:
            return True
        if not task.done():
            await asyncio.wait([task], timeout=timeout_s)
        if not task.done():
            return False
        self._task = None
        task.result()
        return True

    async def end(self) -> None:
        """Cancel the task and return once it has ended; its error is dropped.

        A caller that is cancelled meanwhile waits all the same, and is cancelled afterwards.
        """
        task, self._task = self._task, None
        if task is None:
            return
        ending = asyncio.create_task(
            cancel_and_wait([task], timeout_s=END_S), name=f"cancellation of {task.get_name()}"
        )
        interrupted = False
        while not ending.done():
            try:
                await asyncio.wait([ending])
            except asyncio.CancelledError:
                interrupted = True
        if task.done() and not task.cancelled():
            # Retrieved, so that asyncio does not log it.
            task.exception()
        if interrupted:
            raise asyncio.CancelledError
