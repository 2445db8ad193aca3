"""Reports of exported and dropped spans: a log line when the first are dropped, and one when it works again."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from replog.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable


class ServiceReport:
    """:class:`~replog.tracing.tracer.SpanReport` of a service; ``count`` takes a result and a number of spans.

    OpenTelemetry's own log lines, one for each failed export, are switched off.
    """

    def __init__(self, count: Callable[[str, int], None]) -> None:
        self._count = count
        self._changes = _Changes()
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)

    def exported(self, spans: int) -> None:
        """Count the spans; log the first after a failure."""
        self._count("exported", spans)
        if self._changes.to(failing=False):
            logger().info("recovered")

    def dropped(self, spans: int, reason: str) -> None:
        """Count the spans; log the first failure."""
        self._count("dropped", spans)
        if self._changes.to(failing=True):
            logger().warning("spans_dropped", reason=reason)


class LibraryReport:
    """:class:`~replog.tracing.tracer.SpanReport` within somebody else's process: logs a line per series of failures."""

    def __init__(self) -> None:
        self._changes = _Changes()

    def exported(self, spans: int) -> None:
        """Note that the receiver takes spans."""
        self._changes.to(failing=False)

    def dropped(self, spans: int, reason: str) -> None:
        """Log the first failure."""
        if self._changes.to(failing=True):
            logging.getLogger("replog.tracing").warning("spans are dropped: %s", reason)


class _Changes:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failing = False

    def to(self, *, failing: bool) -> bool:
        """Whether it was otherwise before."""
        with self._lock:
            before, self._failing = self._failing, failing
        return before != failing
