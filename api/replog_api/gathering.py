"""What many ask at once is asked once: who asks while the same is being asked shares the next answer."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

T = TypeVar("T")


class Gathering(Generic[T]):
    """Nobody gets an answer that was begun before they asked; but an error, who asked before it came.

    The same is not asked again within ``spacing_s``: who asks meanwhile waits, so that what many ask costs no more
    however many they are. Who asks what nobody asked lately does not wait.
    """

    def __init__(self, spacing_s: float = 0.0) -> None:
        self._spacing_s = spacing_s
        #: By question: who asked since the question that is under way was sent.
        self._next: dict[Hashable, list[asyncio.Future[T]]] = {}
        # The event loop itself keeps no task alive.
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """The answer of ``read``, or its error; for one question every ``read`` has to do the same."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if question in self._next:
            self._next[question].append(answer)
        else:
            self._next[question] = []
            task = asyncio.create_task(self._read_in_rounds(question, read, [answer]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _read_in_rounds(
        self, question: Hashable, read: Callable[[], Awaitable[T]], asking: list[asyncio.Future[T]]
    ) -> None:
        while asking:
            begun_s = time.monotonic()
            await self._read_for(question, read, asking)
            if self._spacing_s:
                await asyncio.sleep(begun_s + self._spacing_s - time.monotonic())
            # Who asked may have gone away.
            asking = [answer for answer in self._next[question] if not answer.done()]
            self._next[question] = []
        # In the same step as the look at who asks.
        del self._next[question]

    async def _read_for(
        self, question: Hashable, read: Callable[[], Awaitable[T]], asking: list[asyncio.Future[T]]
    ) -> None:
        try:
            found = await read()
        except Exception as error:  # noqa: BLE001 - belongs to those who ask, whatever it is
            # Who asked meanwhile saw it fail, too; another that hangs as long would be too long for them.
            for answer in (*asking, *self._next[question]):
                if not answer.done():
                    answer.set_exception(error)
            return
        for answer in asking:
            if not answer.done():
                answer.set_result(found)
