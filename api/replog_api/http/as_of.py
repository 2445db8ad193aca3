"""How fresh answers are: the time up to which events had been applied, read now and then and told with every answer.

A time that was read before an answer's data is true of it, also a second later: the store only gets fresher. Where it
may have got less fresh, because it failed or was started anew, the time is read again before it is told with data; and
an answer that was under way meanwhile tells none.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from replog.cancellation import cancel_and_wait
from replog.errors import StoreUnavailable
from replog.store.client.pipelining import CommandRunner
from replog.store.read.as_of import UNKNOWN_MS, read_as_of

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds for which a time that was read is told, and after which the next is read beside the answers.
KEPT_S, RENEWED_S = 1.0, 0.8
#: How often the time is read where the store turns out to be started anew meanwhile, as at the first connection.
READINGS = 3
#: Seconds in which a reading ends that is told to.
ENDS_WITHIN_S = 0.5

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Store(CommandRunner, Protocol):
    """A store that says whether it may have less than before.

    See :class:`replog.store.client.connection.Connection`.
    """

    @property
    def epoch(self) -> int:
        """A number that grows where that is so."""


class AsOf(NamedTuple):
    """A time as the header says it, and the epoch of the store that it is true of."""

    header: bytes
    epoch: int


@dataclass(frozen=True)
class Patience:
    """Limits of waiting for a time; an answer beyond one of them says the last time known."""

    #: Seconds that an answer waits.
    wait_s: float = 0.25
    #: Answers that wait at once.
    most_waiting: int = 1000


_PATIENCE = Patience()


class Freshness:
    """As of when the store is; ``clock`` gives monotonic seconds. One instance a process."""

    def __init__(self, store: Store, clock: Callable[[], float], patience: Patience = _PATIENCE) -> None:
        self._patience = patience
        #: What was read last.
        self.known = AsOf(_UNKNOWN, store.epoch)
        self._store = store
        self._clock = clock
        #: When reading what is known began; None where it has to be read again before it is told with data.
        self._begun_s: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self._doubts = 0
        self._waiting = 0

    def doubt(self) -> None:
        """Read it again before it is told with data: the store failed, and may have lost something."""
        self._begun_s = None
        self._doubts += 1

    def header(self, as_of: AsOf) -> bytes:
        """The header's value for an answer whose data was read after ``as_of`` was returned, and before now."""
        return as_of.header if as_of.epoch == self._store.epoch else _UNKNOWN

    async def read(self) -> AsOf:
        """A time for an answer whose data is read after this returns; :meth:`header` says it then. Never fails."""
        age_s = KEPT_S if self._doubtful or self._begun_s is None else self._clock() - self._begun_s
        if age_s >= RENEWED_S and self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="freshness")
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
        """End a reading that is under way."""
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
        self.known = AsOf(header_of(await read_as_of(self._store)), epoch)
        self._begun_s = begun_s if doubts == self._doubts else None


def header_of(ms: int) -> bytes:
    """A time in ms since 1970, as ISO 8601 in UTC."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()


_UNKNOWN = header_of(UNKNOWN_MS)
