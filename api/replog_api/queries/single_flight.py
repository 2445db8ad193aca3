"""What many ask at once is asked once: who asks while the same is being asked shares the next answer."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from replog.cancellation import cancel_and_wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

T = TypeVar("T")

#: Seconds in which readings end that are told to.
ENDS_WITHIN_S = 0.5


class SingleFlight(Generic[T]):
    """Nobody gets an answer that was begun before they asked; but an error, who asked before it came.

    The same is not asked again within ``spacing_s``: who asks meanwhile waits, so that what many ask costs no more
    however many they are. Who asks what nobody asked lately does not wait. A question ends when all who asked it have
    gone away.
    """

    def __init__(self, spacing_s: float = 0.0) -> None:
        self._spacing_s = spacing_s
        self._rounds: dict[Hashable, _Rounds[T]] = {}
        # The event loop itself keeps no task alive.
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, query_key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """The answer of ``read``, or its error; for one question every ``read`` has to do the same."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        rounds = self._rounds.get(query_key)
        if rounds:
            rounds.next.append(answer)
        else:
            rounds = self._begin(query_key, read, answer)
        try:
            return await answer
        except asyncio.CancelledError:
            if rounds.nobody_waits:
                # Who comes next begins anew: this one may take a moment to end.
                self._forget(query_key, rounds)
                rounds.cancel()
            raise

    async def close(self) -> None:
        """End what is under way; nobody asks any more."""
        await cancel_and_wait(self._tasks, timeout_s=ENDS_WITHIN_S)

    def _begin(self, query_key: Hashable, read: Callable[[], Awaitable[T]], answer: asyncio.Future[T]) -> _Rounds[T]:
        rounds = self._rounds[query_key] = _Rounds([answer])
        task = asyncio.create_task(self._read_in_rounds(query_key, read, rounds), name="single flight read")
        rounds.cancel = task.cancel
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return rounds

    def _forget(self, query_key: Hashable, rounds: _Rounds[T]) -> None:
        if self._rounds.get(query_key) is rounds:
            del self._rounds[query_key]

    async def _read_in_rounds(self, query_key: Hashable, read: Callable[[], Awaitable[T]], rounds: _Rounds[T]) -> None:
        try:
            while rounds.asking:
                begun_s = time.monotonic()
                await _read_for(read, rounds)
                if self._spacing_s:
                    await asyncio.sleep(begun_s + self._spacing_s - time.monotonic())
                rounds.turn()
        finally:
            # In the same step as the look at who asks.
            self._forget(query_key, rounds)
            rounds.drop()


class _Rounds(Generic[T]):
    """One question: who waits for the reading that is under way, and who asked since it began."""

    def __init__(self, asking: list[asyncio.Future[T]]) -> None:
        self.asking = asking
        self.next: list[asyncio.Future[T]] = []
        #: Ends the task that reads.
        self.cancel: Callable[[], object] = lambda: None

    @property
    def nobody_waits(self) -> bool:
        """Whether all have an answer or are gone."""
        return all(answer.done() for answer in (*self.asking, *self.next))

    def turn(self) -> None:
        """Let those ask who came meanwhile and did not go away."""
        self.asking = [answer for answer in self.next if not answer.done()]
        self.next = []

    def drop(self) -> None:
        """Nobody will read for those who are left, if there are any."""
        for answer in (*self.asking, *self.next):
            answer.cancel()


async def _read_for(read: Callable[[], Awaitable[T]], rounds: _Rounds[T]) -> None:
    try:
        found = await read()
    except Exception as error:  # noqa: BLE001 - belongs to those who ask, whatever it is
        # Who asked meanwhile saw it fail, too; another that hangs as long would be too long for them.
        for answer in (*rounds.asking, *rounds.next):
            if not answer.done():
                answer.set_exception(error)
        return
    for answer in rounds.asking:
        if not answer.done():
            answer.set_result(found)
