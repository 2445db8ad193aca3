"""Single flight: callers that want the same at once share one read of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from replog.cancellation import cancel_and_wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

T = TypeVar("T")

#: Seconds in which cancelled reads end.
ENDS_WITHIN_S = 0.5


class SingleFlight(Generic[T]):
    """Reads each key once for all callers that come while it is being read: they share the next read.

    No caller gets a result whose read began before the call. An error goes to all who wait, also to those who came
    after the read began.

    One key is not read again within ``spacing_s``: callers that come meanwhile wait, so that their number does not
    matter to the store. The first caller of a key does not wait. A read is cancelled when all its callers are gone.
    """

    def __init__(self, spacing_s: float = 0.0) -> None:
        self._spacing_s = spacing_s
        self._flights: dict[Hashable, _Flight[T]] = {}
        # The event loop itself keeps no task alive.
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """The result of ``read``, or its error; for one key every ``read`` has to do the same."""
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        flight = self._flights.get(key)
        if flight:
            flight.next.append(result)
        else:
            flight = self._begin(key, read, result)
        try:
            return await result
        except asyncio.CancelledError:
            if flight.is_abandoned:
                # The next caller begins anew: this read may take a moment to end.
                self._forget(key, flight)
                flight.cancel()
            raise

    async def close(self) -> None:
        """Cancel all reads; nobody calls any more."""
        await cancel_and_wait(self._tasks, timeout_s=ENDS_WITHIN_S)

    def _begin(self, key: Hashable, read: Callable[[], Awaitable[T]], result: asyncio.Future[T]) -> _Flight[T]:
        flight = self._flights[key] = _Flight([result])
        task = asyncio.create_task(self._read_repeatedly(key, read, flight), name="single flight read")
        flight.cancel = task.cancel
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return flight

    def _forget(self, key: Hashable, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _read_repeatedly(self, key: Hashable, read: Callable[[], Awaitable[T]], flight: _Flight[T]) -> None:
        try:
            while flight.current:
                begun_s = time.monotonic()
                await _read_for(read, flight)
                if self._spacing_s:
                    await asyncio.sleep(begun_s + self._spacing_s - time.monotonic())
                flight.advance()
        finally:
            # In the same step as the check for further callers.
            self._forget(key, flight)
            flight.drop()


class _Flight(Generic[T]):
    """The callers of one key: those of the read that is under way, and those of the next one."""

    def __init__(self, current: list[asyncio.Future[T]]) -> None:
        self.current = current
        self.next: list[asyncio.Future[T]] = []
        #: Ends the task that reads.
        self.cancel: Callable[[], object] = lambda: None

    @property
    def is_abandoned(self) -> bool:
        """Whether no caller waits any more."""
        return all(result.done() for result in (*self.current, *self.next))

    def advance(self) -> None:
        """Turn to the callers that came meanwhile and are still there."""
        self.current = [result for result in self.next if not result.done()]
        self.next = []

    def drop(self) -> None:
        """Cancel the callers that are left, for whom nothing will be read."""
        for result in (*self.current, *self.next):
            result.cancel()


async def _read_for(read: Callable[[], Awaitable[T]], flight: _Flight[T]) -> None:
    try:
        value = await read()
    except Exception as error:  # noqa: BLE001 - belongs to the callers, whatever it is
        # Those of the next read get it, too: another read that hangs as long would be too long for them.
        for result in (*flight.current, *flight.next):
            if not result.done():
                result.set_exception(error)
        return
    for result in flight.current:
        if not result.done():
            result.set_result(value)
