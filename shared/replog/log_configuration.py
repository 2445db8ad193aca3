"""Configuration of a process's structured logs: where they go, and as what."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, Protocol

import structlog


class LogChoices(Protocol):
    """The settings of a process's log."""

    @property
    def log_format(self) -> Literal["json", "console"] | None:
        """None: console on a terminal, JSON elsewhere."""

    @property
    def log_level(self) -> Literal["DEBUG", "INFO", "WARNING", "ERROR"]:
        """The least level that is logged."""


def configure_logs(settings: LogChoices, *, service: str) -> None:
    """Send this process's logs to stderr, as ``settings`` say (format, level); each line names ``service``."""
    log_format = settings.log_format or ("console" if sys.stderr.isatty() else "json")
    renderer: Any = structlog.dev.ConsoleRenderer() if log_format == "console" else structlog.processors.JSONRenderer()
    level = logging.getLevelNamesMapping()[settings.log_level]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    _bridge_standard_logging(shared, renderer, level)


def _bridge_standard_logging(shared: list[Any], renderer: Any, level: int) -> None:
    # Drivers log through the standard library; their lines get the same shape.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.WARNING))
