"""The span of a record's run, which the messages of its events name in ``traceparent``."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from replog.events import RecordFinished, RecordStarted
from replog.tracing.traceparent import TRACEPARENT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from replog.events import Event
    from replog.tracing.traceparent import TraceParent
    from replog.tracing.tracer import Span, Tracer

    #: Headers of a Kafka message.
    Headers: TypeAlias = Sequence[tuple[str, bytes]]


class TracedRecord:
    """:class:`~replog.publisher.scopes.EventSink` of one record and its details.

    Their events go to ``publish``, within a span from the record's start to its end. The span continues the trace of
    the worker's own code, if that has one.
    """

    def __init__(
        self, publish: Callable[[Event, Headers], Awaitable[None]], tracer: Tracer, *, progress_interval_s: float
    ) -> None:
        self.progress_interval_s = progress_interval_s
        self._publish = publish
        self._tracer = tracer
        self._span: Span | None = None
        self._headers: Headers = ()

    async def publish(self, event: Event) -> None:
        """Publish ``event``; raises BrokerUnavailable if that fails."""
        if isinstance(event, RecordStarted):
            self._begin(event)
        try:
            await self._publish(event, self._headers)
        finally:
            if isinstance(event, RecordFinished) and self._span is not None:
                failed = event.status == "FAILED"
                self._span.end(error=(event.error_reason or event.status) if failed else None)

    def _begin(self, event: RecordStarted) -> None:
        attributes = {"replog.task.key": event.task_key, "replog.record.id": event.record_id}
        self._span = self._tracer.begin("replicate", "PRODUCER", attributes, parent=self._tracer.current())
        self._headers = trace_headers(self._span.parent)


def trace_headers(parent: TraceParent | None) -> Headers:
    """The header that names ``parent``. One that is not recorded is not worth the bytes in every message."""
    return ((TRACEPARENT, str(parent).encode()),) if parent and parent.sampled else ()
