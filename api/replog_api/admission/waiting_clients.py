"""Clients that wait for changes, by a stream or a long poll: limited in number, sent away when the service stops."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replog.cancellation import cancel_and_wait
from replog_api.admission.concurrency import ConcurrencyLimiter, OverloadedError
from replog_api.admission.limits import Limits
from replog_api.http import messages
from replog_api.http.errors import RETRY_AFTER_S, TOO_MANY_REQUESTS, TOO_MANY_WAITING_CLIENTS, RefusedError
from replog_api.http.request_context import context_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from starlette.requests import Request
    from starlette.types import Receive

#: Key in the lifespan's state of :meth:`WaitingClients.end`, which the protocol calls at the stop.
END_WAITING = "replog.end_waiting"
#: Seconds that a listener may take to end.
_ENDS_WITHIN_S = 1.0


@dataclass(frozen=True)
class Timings:
    """Timings of streams and long polls, in seconds."""

    #: Interval of the reads of one record or page, which all clients that wait for it share.
    interval_s: float = 0.5
    #: Greatest time between two heart-beats of a stream.
    heartbeat_s: float = 15.0
    #: A stream ends when its record is finished and nothing has changed for so long: details may be merged after the
    #: end of their record.
    settled_s: float = 2.0


class WaitingClients:
    """The clients of one process that wait."""

    def __init__(self, most: int = Limits.most_waiting_clients) -> None:
        self._slots = ConcurrencyLimiter(most)
        #: The client of each wait.
        self._limits: dict[asyncio.Timeout, str] = {}
        self._ended = False

    @asynccontextmanager
    async def waiting(self, request: Request, wait_s: float | None = None) -> AsyncIterator[None]:
        """A block that ends without an error once ``wait_s`` are over, the client is gone or the service stops.

        Raises:
            RefusedError: too many wait already, or this client has its share of them.
        """
        context = context_of(request.scope)
        began_s = time.perf_counter()
        async with _slot(self._slots, context.client):
            try:
                async with asyncio.timeout(0 if self._ended else wait_s) as limit, self._sent_away(request, limit):
                    yield
            except TimeoutError:
                if not limit.expired():
                    raise
            finally:
                context.waited_s += time.perf_counter() - began_s

    @asynccontextmanager
    async def _sent_away(self, request: Request, limit: asyncio.Timeout) -> AsyncIterator[None]:
        self._limits[limit] = context_of(request.scope).client
        listener = asyncio.create_task(_leave_when_gone(request.receive, limit), name="disconnect listener")
        try:
            yield
        finally:
            self._limits.pop(limit, None)
            await cancel_and_wait([listener], timeout_s=_ENDS_WITHIN_S)

    def end_of(self, clients: Collection[str]) -> None:
        """End the waiting of these clients. They may come back, and are then admitted or refused as everybody is."""
        for limit, client in self._limits.items():
            if client in clients:
                _leave(limit)

    def end(self) -> None:
        """End all waiting, now and from now on. Safe to repeat."""
        if self._ended:
            return
        self._ended = True
        for limit in self._limits:
            _leave(limit)


@asynccontextmanager
async def _slot(slots: ConcurrencyLimiter, client: str) -> AsyncIterator[None]:
    retry = {"Retry-After": str(RETRY_AFTER_S)}
    try:
        async with slots.slot(client):
            yield
    except OverloadedError as error:
        if error.own_share:
            raise RefusedError(TOO_MANY_REQUESTS, messages.TOO_MANY_WAITING_OF_ONE_CLIENT, retry) from None
        raise RefusedError(TOO_MANY_WAITING_CLIENTS, messages.TOO_MANY_WAITING_CLIENTS, retry) from None


async def _leave_when_gone(receive: Receive, limit: asyncio.Timeout) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    _leave(limit)


def _leave(limit: asyncio.Timeout) -> None:
    # An expired timeout cannot be rescheduled.
    if not limit.expired():
        limit.reschedule(asyncio.get_running_loop().time())
