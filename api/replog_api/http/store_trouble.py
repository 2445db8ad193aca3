"""Log lines about a store that does not answer: few, however many requests fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from replog.errors import StoreUnavailable

#: Seconds between two lines that it fails.
EVERY_S = 5.0
#: Seconds without a failure after which an answered request means that it works again.
QUIET_S = 1.0


class StoreTrouble:
    """Logs failures and their end. ``clock`` gives monotonic seconds. One instance a process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told_s = self._failed_s = float("-inf")
        self._left_out = 0
        #: Whether it has failed and does not work again yet.
        self.failing = False

    def failed(self, error: StoreUnavailable, trace_id: str) -> None:
        """Note that a request failed."""
        self.failing = True
        self._failed_s = now_s = self._clock()
        if now_s - self._told_s < EVERY_S:
            self._left_out += 1
            return
        logger().warning(
            "store_unavailable", error=str(error), kind=error.kind, trace_id=trace_id, left_out=self._left_out
        )
        self._told_s, self._left_out = now_s, 0

    def worked(self) -> None:
        """Note that a request was answered while :attr:`failing`."""
        if self._clock() - self._failed_s < QUIET_S:
            return
        logger().info("recovered", left_out=self._left_out)
        self.failing, self._left_out = False, 0
