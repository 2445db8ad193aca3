"""A connection to the store that waits through a short outage: long work does not fail for a restart of Redis."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from replog.errors import StoreUnavailable
from replog_collector.backoff import FIRST_BACKOFF_S, Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from replog.store.client.command import Command
    from replog.store.client.pipelining import CommandRunner

#: Seconds without an answer after which a call fails.
PATIENCE_S = 60.0


class PatientRunner:
    """:class:`CommandRunner` that sends calls again until ``patience_s`` are over; all of them are safe to repeat.

    What a person has to change (a missing right, another layout, full memory) fails at once.
    """

    def __init__(
        self,
        connection: CommandRunner,
        *,
        patience_s: float = PATIENCE_S,
        first_backoff_s: float = FIRST_BACKOFF_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.prefix = connection.prefix
        self._connection = connection
        self._patience_s = patience_s
        self._first_backoff_s = first_backoff_s
        self._clock = clock

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        """The replies to ``calls``. Raises StoreUnavailable, StoreRefused."""
        backoff, deadline_s = Backoff(self._first_backoff_s), self._clock() + self._patience_s
        while True:
            try:
                return await self._connection.run(calls)
            except StoreUnavailable as error:
                if error.kind in _OF_A_PERSON or self._clock() >= deadline_s:
                    raise
            await asyncio.sleep(backoff.next_s())


_OF_A_PERSON = frozenset({"incompatible", "noperm", "oom"})
