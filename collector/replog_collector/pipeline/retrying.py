"""Retries of recoverable calls, with back-off."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

from replog.errors import RecoverableError, StoreUnavailable
from replog.telemetry import logger
from replog_collector import metrics
from replog_collector.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from replog_collector.health.progress import Progress

T = TypeVar("T")


class StopRequested(Exception):  # noqa: N818 - named as the state it reports
    """A stop was requested while a call was failing; it is not retried."""


class Retrying:
    """Retries calls until they succeed, or ``stopping`` is set while they fail.

    Each failure is counted, logged, and excused to ``progress``: waiting for a server is not hanging. ``backoff`` makes
    the delays of one call.
    """

    def __init__(
        self, stopping: asyncio.Event, progress: Progress, *, backoff: Callable[[], Backoff] = Backoff
    ) -> None:
        self._backoff = backoff
        self._stopping = stopping
        self._progress = progress

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of ``call``.

        Raises:
            StopRequested: a stop was requested while it failed.
            ReplogError: an error of ``call`` that is not recoverable.
        """
        backoff = self._backoff()
        while True:
            try:
                answer = await call()
            except RecoverableError as error:
                await self._wait(backoff, error)
            else:
                if backoff.reset():
                    logger().info("recovered")
                return answer

    def failed(self, backoff: Backoff, error: RecoverableError) -> float:
        """Note a failure; returns the seconds to wait before the next try."""
        if isinstance(error, StoreUnavailable):
            metrics.STORE_ERRORS.labels(error.kind).inc()
        self._progress.excuse()
        delay_s = backoff.next_s()
        logger().warning("backing_off", delay_s=round(delay_s, 3), error=str(error))
        return delay_s

    async def _wait(self, backoff: Backoff, error: RecoverableError) -> None:
        delay_s = self.failed(backoff, error)
        with contextlib.suppress(TimeoutError):
            # Not asyncio.wait_for: on Python 3.11 it swallows a cancellation that arrives together with the stop.
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
        if self._stopping.is_set():
            raise StopRequested from error
