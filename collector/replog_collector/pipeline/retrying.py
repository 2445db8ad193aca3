"""A call that is tried until it succeeds, with a growing wait in between."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

from replog.errors import RecoverableError, StoreUnavailable
from replog.telemetry import logger
from replog_collector import metrics
from replog_collector.backoff import FIRST_BACKOFF_S, Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from replog_collector.health.progress import Progress

T = TypeVar("T")


class StopRequested(Exception):  # noqa: N818 - named as the state it reports
    """A stop came while a call was failing; it is not tried any more."""


class Retrying:
    """Tries calls until they succeed, or ``stopping`` is set while they fail.

    Each failure is counted, logged, and told to ``progress``: waiting for a server is no hanging. The first is waited
    after for up to ``first_backoff_s``.
    """

    def __init__(
        self, stopping: asyncio.Event, progress: Progress, *, first_backoff_s: float = FIRST_BACKOFF_S
    ) -> None:
        self._first_backoff_s = first_backoff_s
        self._stopping = stopping
        self._progress = progress

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """The answer of ``call``.

        Raises:
            StopRequested: a stop came while it failed.
            ReplogError: what ``call`` raises and is not recoverable.
        """
        backoff = Backoff(self._first_backoff_s)
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
        """Take note of a failure; returns the seconds to wait before the next try."""
        if isinstance(error, StoreUnavailable):
            metrics.STORE_ERRORS.labels(error.kind).inc()
        self._progress.excuse()
        delay_s = backoff.next_s()
        logger().warning("backing_off", delay_s=round(delay_s, 3), error=str(error))
        return delay_s

    async def _wait(self, backoff: Backoff, error: RecoverableError) -> None:
        delay_s = self.failed(backoff, error)
        with contextlib.suppress(TimeoutError):
            # Not asyncio.wait_for, which on Python 3.11 swallows a cancellation that comes together with the stop.
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
        if self._stopping.is_set():
            raise StopRequested from error
