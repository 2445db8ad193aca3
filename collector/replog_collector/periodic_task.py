"""Periodic tasks beside the collector's loop: retention, the count of stale records, and what was left behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, Self

from replog.cancellation import cancel_and_wait
from replog.errors import REFUSED, BrokerUnavailable, FatalError, StoreRefused, StoreUnavailable
from replog.store.maintain.retention import log_refusal
from replog.telemetry import logger
from replog_collector import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from replog.store.maintain.restoring import Restored

#: Seconds between two sweeps of retention.
SWEEP_S = 30.0
#: Seconds from the end of one count of stale records and details to the next.
COUNT_S = 10.0
#: Seconds between two searches for outcomes that were left behind.
OUTBOX_S = 60.0
#: Seconds from one look for erased records whose later events have to be read again to the next.
RESTORE_S = 5.0
#: Seconds in which a run ends once it is cancelled.
CANCEL_S = 1.0


class Sweeps(Protocol):
    """Retention; see :class:`replog.store.maintain.retention.Retention`."""

    async def sweep(self) -> int:
        """Remove records that are due; returns their number. Raises StoreUnavailable."""


class LeftOutcomes(Protocol):
    """Outcomes; see :class:`replog_collector.pipeline.outcomes.OutcomePublishing`."""

    async def publish_left(self) -> None:
        """Publish those that were left behind. Raises StoreUnavailable, BrokerUnavailable."""

    async def waiting(self) -> int:
        """The number of those that are not published yet. Raises StoreUnavailable."""


class Counts(Protocol):
    """Counts of stale records and details; see :class:`replog.store.maintain.staleness.Staleness`."""

    async def records(self) -> int:
        """The number of stale records. Raises StoreUnavailable."""

    async def details(self) -> int:
        """The number of stale details; may take minutes. Raises StoreUnavailable."""


class Restores(Protocol):
    """Restoring; see :class:`replog.store.maintain.restoring.Restoring`."""

    async def restore(self) -> Restored:
        """Read again what is later than erasures. Raises StoreUnavailable, BrokerUnavailable, FatalError."""


class PeriodicTask:
    """Awaits ``work`` every ``interval_s`` while its ``async with`` block runs.

    Errors of the store are counted and passed over. Any other ends the task: ``on_death`` is called, and leaving the
    block raises the error.
    """

    def __init__(
        self,
        work: Callable[[], Awaitable[object]],
        *,
        name: str,
        on_death: Callable[[], None],
        interval_s: float = SWEEP_S,
    ) -> None:
        self._work = work
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
            await self._run_once()

    async def _run_once(self) -> None:
        try:
            await self._work()
        except StoreUnavailable as error:
            # The collector's own calls meet the same error and back off; the next run goes on.
            metrics.STORE_ERRORS.labels(error.kind).inc()
        except StoreRefused as error:
            # One broken record must end neither the retention of others nor the collector.
            note_refusal(error)


def note_refusal(error: StoreRefused) -> None:
    """Count and log that Redis refused a call of a periodic task."""
    metrics.STORE_ERRORS.labels(REFUSED).inc()
    log_refusal(error)


async def remove_due(retention: Sweeps) -> None:
    """Remove the records that are due. Raises StoreUnavailable, StoreRefused."""
    removed = await retention.sweep()
    metrics.REMOVED_RECORDS.inc(removed)
    if removed:
        logger().info("removed", records=removed)


async def publish_left(outcomes: LeftOutcomes) -> None:
    """Publish outcomes that were left behind; what Kafka does not take now is counted, and waits for the next search.

    Raises StoreUnavailable, StoreRefused.
    """
    try:
        await outcomes.publish_left()
    except BrokerUnavailable as error:
        logger().warning("outcomes_waiting", error=str(error))
        metrics.OUTCOMES_WAITING.set(await outcomes.waiting())
    else:
        metrics.OUTCOMES_WAITING.set(0)


async def count_stale(staleness: Counts, *, mine: Callable[[], bool]) -> None:
    """Set the gauges of stale records and details while ``mine`` says that this collector counts them; else clear them.

    One collector of the group counts: several would not agree. Raises StoreUnavailable, StoreRefused.
    """
    for kind, count in (("records", staleness.records), ("details", staleness.details)):
        metrics.STALE.tell(kind, await count() if mine() else None)
    if not mine():
        metrics.STALE.forget()


async def restore_later(restoring: Restores) -> None:
    """Read again what is later than erasures. The next run does what the broker prevents.

    Raises StoreUnavailable, StoreRefused.
    """
    try:
        restored = await restoring.restore()
    except (BrokerUnavailable, FatalError) as error:
        # Fatal for a command: the topic is missing, or was made anew while it was read. The loop meets that itself.
        logger().warning("restoring_failed", error=str(error))
        return
    if restored.records:
        logger().info("restored", records=restored.records, events=restored.events)
