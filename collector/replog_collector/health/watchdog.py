"""The watchdog: ends a collector that hangs. Nothing is lost by that, and the process manager starts it again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from replog.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from replog_collector.health.progress import Progress

#: Exit code of a process that was ended because it hung.
EXIT_CODE = 4
#: Seconds for which a hanging collector still answers its probes, which tell why.
GRACE_S = 10.0


class Watchdog:
    """Checks ``progress`` from a thread that does not hang with the event loop. ``clock`` gives monotonic seconds.

    ``end`` is called with the exit code, and need not return: a hanging event loop allows no orderly shutdown.
    """

    def __init__(
        self, progress: Progress, *, clock: Callable[[], float], end: Callable[[int], object] = os._exit
    ) -> None:
        self._progress = progress
        self._clock = clock
        self._end = end
        self._stalled_at: float | None = None

    def check(self) -> None:
        """End the process once checks have found it hanging for :data:`GRACE_S`; called periodically."""
        reason = self._progress.stalled()
        if reason is None:
            self._stalled_at = None
        elif self._stalled_at is None:
            self._stalled_at = self._clock()
            logger().error("stalled", reason=reason, ends_in_s=GRACE_S)
        elif self._clock() - self._stalled_at >= GRACE_S:
            self._end(EXIT_CODE)
