"""Freshness of answers: the time up to which events had been applied, sent in every answer.

A time that was read before an answer's data holds for it, also a second later: the store only gets fresher. It may get
less fresh where it failed or was started anew. Then the time is read again before it is sent with data, and an answer
that was under way meanwhile has none.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from replog.cancellation import cancel_and_wait
from replog.errors import StoreUnavailable
from replog.store.read.as_of import UNKNOWN_MS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: Seconds for which a time is sent after it was read, and after which the next is read in the background.
KEPT_S, RENEWED_S = 1.0, 0.8
#: Most reads in a row, where each finds that the store was started anew, as at the first connection.
READINGS = 3
#: Seconds that a cancelled read may take to end.
ENDS_WITHIN_S = 0.5

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Store(Protocol):
    """A store that reports whether it may hold less than before.

    See :class:`replog.store.client.connection.Connection`.
    """

    @property
    def epoch(self) -> int:
        """A number that grows each time that this may be so."""


class AsOf(NamedTuple):
    """A time as in the header and in ms since 1970, and the epoch of the store for which it holds."""

    header: bytes
    ms: int
    epoch: int


@dataclass(frozen=True)
class Patience:
    """Limits of waiting for a time. Beyond one of them, an answer has the last known time."""

    #: Seconds that an answer waits for a time.
    wait_s: float = 0.25
    #: Most answers that wait for a time at once.
    most_waiting: int = 1000


_PATIENCE = Patience()


class Freshness:
    """Freshness of the store, in ms since 1970. One instance a process.

    ``read_ms`` reads it from ``store``, or raises StoreUnavailable; ``clock`` gives monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        read_ms: Callable[[], Awaitable[int]],
        clock: Callable[[], float],
        patience: Patience = _PATIENCE,
    ) -> None:
        self._patience = patience
        #: What was read last.
        self.known = AsOf(_UNKNOWN, UNKNOWN_MS, store.epoch)
        self._store = store
        self._read_ms = read_ms
        self._clock = clock
        #: Start of the read of what is known; None where it has to be read again before it is sent with data.
        self._begun_s: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self._doubts = 0
        self._waiting = 0

    def doubt(self) -> None:
        """Have the time read again before it is sent with data: the store failed, and may have lost something."""
        self._begun_s = None
        self._doubts += 1

    def header(self, as_of: AsOf) -> bytes:
        """The header of an answer whose data was read between :meth:`read`, which returned ``as_of``, and now."""
        return as_of.header if as_of.epoch == self._store.epoch else _UNKNOWN

    def ms(self, as_of: AsOf) -> int:
        """The same time in ms since 1970; :data:`~replog.store.read.as_of.UNKNOWN_MS` where it is not known."""
        return as_of.ms if as_of.epoch == self._store.epoch else UNKNOWN_MS

    async def read(self) -> AsOf:
        """A time for an answer whose data is read after this returns, for :meth:`header`. Never fails."""
        age_s = KEPT_S if self._doubtful or self._begun_s is None else self._clock() - self._begun_s
        if age_s >= RENEWED_S and self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="freshness read")
        if age_s >= KEPT_S and self._reading and self._waiting < self._patience.most_waiting:
            self._waiting += 1
            try:
                await asyncio.wait([self._reading], timeout=self._patience.wait_s)
            finally:
                self._waiting -= 1
        return self.known

    @property
    def _doubtful(self) -> bool:
        return self.known.epoch != self._store.epoch

    async def close(self) -> None:
        """End a read that is under way."""
        if self._reading:
            await cancel_and_wait([self._reading], timeout_s=ENDS_WITHIN_S)

    async def _read(self) -> None:
        try:
            for _ in range(READINGS):
                await self._read_once()
                if not self._doubtful:
                    break
        except StoreUnavailable:
            # The answer itself fails where it is of the same cause.
            self.doubt()
        finally:
            self._reading = None

    async def _read_once(self) -> None:
        begun_s, doubts, epoch = self._clock(), self._doubts, self._store.epoch
        ms = await self._read_ms()
        self.known = AsOf(header_of(ms), ms, epoch)
        self._begun_s = begun_s if doubts == self._doubts else None


def header_of(ms: int) -> bytes:
    """A time in ms since 1970, as ISO 8601 in UTC."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()


_UNKNOWN = header_of(UNKNOWN_MS)
