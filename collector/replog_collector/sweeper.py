"""Beside the collector's loop: removes what retention no longer keeps, again and again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, Self

from replog.errors import StoreRefused, StoreUnavailable
from replog.telemetry import logger
from replog_collector import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds between two sweeps.
SWEEP_S = 30.0


class Sweeps(Protocol):
    """What is swept; see :class:`replog.store.retention.Retention`."""

    async def sweep(self) -> int:
        """Remove what is due; returns the number of records removed. Raises StoreUnavailable."""


class Sweeper:
    """Sweeps while its ``async with`` block runs; where it fails, calls ``on_death``, and leaving raises the error."""

    def __init__(self, retention: Sweeps, *, on_death: Callable[[], None], interval_s: float = SWEEP_S) -> None:
        self._retention = retention
        self._on_death = on_death
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._on_death())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self._sweep()

    async def _sweep(self) -> None:
        try:
            removed = await self._retention.sweep()
        except StoreUnavailable as error:
            # The collector's own calls meet the same trouble and back off; the next sweep goes on.
            metrics.STORE_ERRORS.labels(error.kind).inc()
            return
        except StoreRefused as error:
            # One broken record must not end the others' retention, nor the collector.
            metrics.STORE_ERRORS.labels("refused").inc()
            logger().warning("sweep_refused", error=str(error))
            return
        metrics.REMOVED_RECORDS.inc(removed)
        if removed:
            logger().info("removed", records=removed)
