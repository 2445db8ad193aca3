"""What runs beside the collector's loop: one task at a time, owned by the loop and ended with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from replog.cancellation import cancel_and_wait

if TYPE_CHECKING:
    from collections.abc import Coroutine

#: How long a task may go on after it was cancelled, again and again, in seconds.
END_S = 2.0


class InFlight:
    """One task at a time. :meth:`end` has to be awaited by who started it, whatever was raised meanwhile."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run ``work``. What was started before has to be over, by the word of :meth:`over`."""
        if self._task is not None:
            work.close()
            raise RuntimeError(f"{self._task.get_name()} is still on its way")
        self._task = asyncio.create_task(work, name=name)

    async def over(self, timeout_s: float | None = None) -> bool:
        """Whether nothing runs any more, within ``timeout_s``; None waits for as long as it takes.

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
        """Cancel what runs and return once it has ended; what it raises is dropped.

        That holds also where the caller is cancelled meanwhile, which is raised afterwards.
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
            # Asked for, so that nobody reports it as never looked at.
            task.exception()
        if interrupted:
            raise asyncio.CancelledError
