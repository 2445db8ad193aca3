"""Concurrency limits that are fair between clients: no client can hold so many slots that none is left.

A client may take a slot as long as it holds fewer than are free. Alone it gets half of them, beside another greedy
client a third, and a client that holds none gets one until all are taken. The same holds for the queue.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from replog.errors import ReplogError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class OverloadedError(ReplogError):
    """There is no slot. ``own_share``: there are free ones, but this client holds its share already."""

    def __init__(self, *, own_share: bool) -> None:
        super().__init__("this client holds its share of slots" if own_share else "all slots are taken")
        self.own_share = own_share


class _Slots:
    """A number of slots, and how many of them each client holds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[str] = Counter()
        self._taken = 0

    def has_one_for(self, client: str) -> bool:
        """Whether ``client`` may take one more."""
        return self._held[client] < self.free

    @property
    def free(self) -> int:
        """Slots that nobody holds."""
        return self._most - self._taken

    def take(self, client: str) -> None:
        """Count one more of ``client``."""
        self._held[client] += 1
        self._taken += 1

    def give_back(self, client: str) -> None:
        """Count one less of ``client``."""
        self._taken -= 1
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]


class _Waiting(NamedTuple):
    client: str
    #: Done once the slot is the client's.
    turn: asyncio.Future[None]


class ConcurrencyLimiter:
    """``most`` slots. Up to ``most_waiting`` clients queue for one, each for at most ``wait_s`` seconds."""

    def __init__(self, most: int, *, wait_s: float = 0.0, most_waiting: int = 0) -> None:
        self._slots = _Slots(most)
        self._queue = _Slots(most_waiting)
        self._wait_s = wait_s
        self._waiting: list[_Waiting] = []

    @asynccontextmanager
    async def slot(self, client: str) -> AsyncIterator[None]:
        """Hold a slot for the time of the block.

        Raises:
            OverloadedError: there was none in time.
        """
        if self._slots.has_one_for(client):
            self._slots.take(client)
        else:
            await self._wait(client)
        try:
            yield
        finally:
            self._give_back(client)

    async def _wait(self, client: str) -> None:
        if not self._queue.has_one_for(client):
            raise OverloadedError(own_share=self._slots.free > 0)
        waiting = _Waiting(client, asyncio.get_running_loop().create_future())
        self._queue.take(client)
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(self._wait_s):
                await waiting.turn
        except BaseException as error:
            self._leave(waiting)
            if isinstance(error, TimeoutError):
                raise OverloadedError(own_share=self._slots.free > 0) from None
            raise
        finally:
            self._queue.give_back(client)

    def _leave(self, waiting: _Waiting) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        else:
            # Its turn came in the same moment.
            self._give_back(waiting.client)

    def _give_back(self, client: str) -> None:
        self._slots.give_back(client)
        for waiting in self._waiting:
            # Who has just given up is still there until its task has run.
            if not waiting.turn.done() and self._slots.has_one_for(waiting.client):
                self._waiting.remove(waiting)
                self._slots.take(waiting.client)
                waiting.turn.set_result(None)
                return
