"""Structured logs: one shape of line for every process.

Each line of this project names one :data:`LogAction` (``event`` in JSON), and mypy refuses any other. Lines of the
libraries below it have the same shape and their own words.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Literal, Protocol

LogAction = Literal[
    # A process started, with its settings (secrets masked).
    "started",
    # A setting's variable holds the address of a Kubernetes Service; it is ignored.
    "setting_ignored",
    # A variable with the prefix of this project's settings is none of them; ``nearest`` is the one that may be meant.
    "setting_unknown",
    # Redis keeps no append-only file: what it acknowledged is lost when it ends.
    "append_only_off",
    # Redis removes keys where it is full, as its ``policies`` say.
    "eviction_on",
    # A topic takes no messages as large as they may be: its limit is ``max_message_bytes``, ``needed`` are more.
    "message_limit_small",
    # The topic of events has one partition, so one collector does all the work.
    "single_partition",
    # The store lacks checkpoints: of ``partitions`` that the group has committed, or in a query service of any.
    "checkpoints_missing",
    # A process was asked to stop and finishes its work in progress.
    "stopping",
    # A process ended as it should.
    "stopped",
    # A collector did not finish ``what`` before the deadline of its shutdown, and cancelled it.
    "stop_cut_short",
    # The consumer group gave partitions to this collector.
    "partitions_assigned",
    # An event broke the event contract and went to the dead-letter topic.
    "dead_letter",
    # Redis refused a batch because of one record; the batch is halved until that record stands alone.
    "batch_refused",
    # The group revoked partitions, and the batch in flight did not finish in the time that the group allows.
    "batch_unfinished",
    # Retention of the topic deleted events before they were read: ``first`` to ``last`` of ``partition``.
    "offsets_skipped",
    # The position lay beyond the end of a partition, as after the topic was made anew: it is read from its beginning.
    "offsets_reset",
    # The Kafka client failed for good, and is replaced.
    "client_replaced",
    # Another collector has joined the group under the name of this static member, which waits until it is free.
    "instance_id_taken",
    # The collector makes no progress, and ends itself.
    "stalled",
    # A collector's call of the store or the broker failed with a recoverable error; the next try is in ``delay_s``.
    "backing_off",
    # The process's user lacks rights on Redis; logged once for each set of missing rights.
    "rights_missing",
    # The store did not answer a query; the client got 503.
    "store_unavailable",
    # The process is not ready: ``dependency`` fails, for the first time or in another way (``kind``) than before.
    "not_ready",
    # The query service stopped before a client had read all of its answer; the connection is closed.
    "answer_cut_off",
    # The store failed while a list was being sent; the client sees an incomplete body.
    "list_broken_off",
    # A worker process of a query service ended unasked, and is replaced.
    "worker_died",
    # The store lost writes that it had acknowledged: partitions went back from ``positions`` to ``begins``.
    "store_rewound",
    # Checkpoints in the store were overwritten: the values at ``keys`` are removed, and the checkpoints count as lost.
    "markers_removed",
    # A batch is in the store but its offsets could not be committed; it may be applied once more.
    "commit_failed",
    # A key that retention reads was overwritten: the unreadable ``entries`` of ``key`` are removed.
    "garbage_removed",
    # Retention could not remove a record: Redis refuses what one of its keys holds.
    "sweep_refused",
    # Outcomes that were left in the outbox could not be published; the next search tries again.
    "outcomes_waiting",
    # A notifier's webhook refused an outcome, which is passed over.
    "outcome_refused",
    # A message on the outcomes topic is no outcome, or cannot be read; it is passed over.
    "outcome_unreadable",
    # A notifier posts to another machine without TLS.
    "webhook_exposed",
    # A notifier posts without a signature, because no secret is set.
    "webhook_unsigned",
    # The file of a secret has changed and cannot be read; the secret before it stays in use.
    "secret_unreadable",
    # Retention removed records.
    "removed",
    # Of erased ``records`` that had later events, these ``events`` were read from the topic again.
    "restored",
    # The same failed for the broker; it is tried again.
    "restoring_failed",
    # The file of a secret has changed, and what it holds is used from now on.
    "secret_reloaded",
    # A request was answered: a line of the access log.
    "request_answered",
    # The receiver of traces takes no spans, or not fast enough; they are dropped and counted until it does again.
    "spans_dropped",
    # A call or dependency that failed works again.
    "recovered",
    # A request ended in an unexpected error.
    "request_failed",
]


class Logger(Protocol):
    """Writes one line a call: a :data:`LogAction`, and fields by keyword. ``exc_info`` adds a traceback."""

    def info(self, action: LogAction, /, **fields: object) -> None:
        """Log a normal event."""

    def warning(self, action: LogAction, /, **fields: object) -> None:
        """Log what the process copes with by itself."""

    def error(self, action: LogAction, /, **fields: object) -> None:
        """Log what a person should look at."""


#: The logger of a context that has one of its own; else lines go where the process's logs go.
CONTEXT_LOGGER: ContextVar[Logger | None] = ContextVar("logger", default=None)


def logger() -> Logger:
    """The logger of this context, or of this process."""
    # Imported on demand: it is slow to import, and most commands log nothing.
    import structlog  # noqa: PLC0415

    log: Logger = CONTEXT_LOGGER.get() or structlog.get_logger()
    return log
