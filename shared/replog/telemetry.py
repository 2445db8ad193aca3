"""Logs: structured lines with one shape for every process.

What this project logs begins with one of the constants of :data:`LogAction` (``event`` in JSON); lines of the libraries
below it have the same shape and their own words.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Literal

import structlog

if TYPE_CHECKING:
    from replog.settings import LogSettings

LogAction = Literal[
    # A process started, with its settings (secrets masked).
    "started",
    # A variable of a setting holds the address of a Kubernetes Service, and is as not set.
    "setting_ignored",
    # A variable begins as this project's settings do and is none; ``nearest`` is the one that may be meant.
    "setting_unknown",
    # A process was asked to stop and finishes what it has in hand.
    "stopping",
    # A process ended in order.
    "stopped",
    # A collector that is to stop did not come to the end of ``what`` in time: that is cut off.
    "stop_cut_short",
    # The consumer group gave partitions to this collector.
    "partitions_assigned",
    # An event broke the event contract and went to the dead-letter topic.
    "dead_letter",
    # Redis refused a batch for the sake of a record in it; the batch is halved until that record stands alone.
    "batch_refused",
    # The group takes partitions away, and the batch in hand cannot be finished in the time that it allows.
    "batch_unfinished",
    # Retention of the topic deleted events before they were read: ``first`` to ``last`` of ``partition``.
    "offsets_skipped",
    # The position lay behind the end of a partition, which was made anew: it is read from its beginning.
    "offsets_reset",
    # The Kafka client failed in a way it does not come back from, and is replaced.
    "client_replaced",
    # Another collector has joined the group under the name of this static member, which waits until it is free.
    "instance_id_taken",
    # The collector does not get on, and ends itself.
    "stalled",
    # A collector's call of the store or the broker failed in a way that passes; it is tried again after ``delay_s``.
    "backing_off",
    # The process's user lacks rights on Redis; told once until others are missing.
    "rights_missing",
    # The store did not answer a query; the client got 503.
    "store_unavailable",
    # The process is not ready: ``dependency`` has trouble of another kind than before, or for the first time.
    "not_ready",
    # The query service stopped, and the client had not taken all of an answer in the time there is: it is cut off.
    "answer_cut_off",
    # The store failed in the middle of a list; its client sees that the body is incomplete.
    "list_broken_off",
    # One of several processes of a query service ended unasked, and is replaced.
    "worker_died",
    # The store lost writes that it had acknowledged: partitions went back from ``positions`` to ``begins``.
    "store_rewound",
    # Somebody wrote over markers in the store: what stood at ``keys`` is removed, and counts as lost.
    "markers_removed",
    # A batch is in the store but its offsets could not be committed; it will be applied once more.
    "commit_failed",
    # Somebody wrote to the keys that retention goes by: ``entries`` of ``key`` that nobody can read are removed.
    "garbage_removed",
    # Retention could not remove a record: Redis refuses what one of its keys holds.
    "sweep_refused",
    # Retention removed records.
    "removed",
    # What was failing works again.
    "recovered",
    # A request ended in an error that nobody expected.
    "request_failed",
]


def configure_logs(settings: LogSettings, *, service: str) -> None:
    """Send this process's logs to stderr, as ``settings`` say, each line with ``service``."""
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


def logger() -> Any:
    """The logger; its first argument is a :data:`LogAction`, everything else goes by keyword."""
    return structlog.get_logger()
