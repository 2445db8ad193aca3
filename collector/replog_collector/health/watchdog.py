"""Ends a collector that hangs: nothing is lost by that, and whoever started it starts it again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from replog.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from replog_collector.health.progress import Progress

#: What a process that was ended for hanging exits with.
EXIT_CODE = 4
#: How long a hanging collector still answers its probes, so that they see why.
GRACE_S = 10.0


class Watchdog:
    """Looks at ``progress`` from a thread that does not hang with the event loop. ``clock`` gives monotonic seconds.

    ``end`` is called with the exit code, and need not return; in order is not possible where the event loop hangs.
    """

    def __init__(
        self, progress: Progress, *, clock: Callable[[], float], end: Callable[[int], object] = os._exit
    ) -> None:
        self._progress = progress
        self._clock = clock
        self._end = end
        self._stalled_at: float | None = None

    def look(self) -> None:
        """End the process where it has hung for :data:`GRACE_S` of looks; to be called again and again."""
        reason = self._progress.stalled()
        if reason is None:
            self._stalled_at = None
        elif self._stalled_at is None:
            self._stalled_at = self._clock()
            logger().error("stalled", reason=reason, ends_in_s=GRACE_S)
        elif self._clock() - self._stalled_at >= GRACE_S:
            self._end(EXIT_CODE)
