"""Beside the collector's loop: what is done to the whole store, again and again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, Self

from replog.cancellation import cancel_and_wait
from replog.errors import StoreRefused, StoreUnavailable
from replog.store.maintain.retention import log_refusal
from replog.telemetry import logger
from replog_collector import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: Seconds between two sweeps.
SWEEP_S = 30.0
#: Seconds from the end of one count of what is stale to the next.
COUNT_S = 10.0
#: How long a sweep may go on after it was cancelled, again and again, in seconds.
CANCEL_S = 1.0


class Sweeps(Protocol):
    """What removes what is due; see :class:`replog.store.maintain.retention.Retention`."""

    async def sweep(self) -> int:
        """Remove what is due; returns the number of records removed. Raises StoreUnavailable."""


class Counts(Protocol):
    """What counts what is stale; see :class:`replog.store.maintain.staleness.Staleness`."""

    async def records(self) -> int:
        """How many records are stale. Raises StoreUnavailable."""

    async def details(self) -> int:
        """How many details are; may take minutes. Raises StoreUnavailable."""


class PeriodicTask:
    """Sweeps while its ``async with`` block runs; where it fails, calls ``on_death``, and leaving raises the error."""

    def __init__(
        self,
        sweep: Callable[[], Awaitable[object]],
        *,
        name: str,
        on_death: Callable[[], None],
        interval_s: float = SWEEP_S,
    ) -> None:
        self._sweep = sweep
        self._name = name
        self._on_death = on_death
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=self._name)
        self._task.add_done_callback(lambda _: self._on_death())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is None:
            return
        await cancel_and_wait([self._task], timeout_s=CANCEL_S)
        if self._task.done() and not self._task.cancelled():
            self._task.result()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self._sweep_once()

    async def _sweep_once(self) -> None:
        try:
            await self._sweep()
        except StoreUnavailable as error:
            # The collector's own calls meet the same trouble and back off; the next sweep goes on.
            metrics.STORE_ERRORS.labels(error.kind).inc()
        except StoreRefused as error:
            # One broken record must not end the others' retention, nor the collector.
            note_refusal(error)


def note_refusal(error: StoreRefused) -> None:
    """Count and log that Redis refused something to a sweep."""
    metrics.STORE_ERRORS.labels("refused").inc()
    log_refusal(error)


async def remove_due(retention: Sweeps) -> None:
    """Remove what retention no longer keeps. Raises StoreUnavailable, StoreRefused."""
    removed = await retention.sweep()
    metrics.REMOVED_RECORDS.inc(removed)
    if removed:
        logger().info("removed", records=removed)


async def count_stale(staleness: Counts, *, mine: Callable[[], bool]) -> None:
    """Count what is stale while it is this collector's to do so, by ``mine``; else it says nothing of that.

    One of the group is enough, and several would not agree. Raises StoreUnavailable, StoreRefused.
    """
    for kind, count in (("records", staleness.records), ("details", staleness.details)):
        metrics.STALE.tell(kind, await count() if mine() else None)
    if not mine():
        metrics.STALE.forget()
