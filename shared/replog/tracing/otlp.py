"""The edge to OpenTelemetry: spans in memory, sent to an OTLP/HTTP receiver by a thread of their own.

Nothing here waits for the receiver. At most :data:`QUEUE_SPANS` wait for it, and what ends beyond that is dropped. No
global of OpenTelemetry is set, so that a worker's own tracing is left alone.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from replog.tracing.traceparent import TraceParent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.sampling import SamplingResult
    from opentelemetry.trace import Link, SpanContext, SpanKind, TraceState
    from opentelemetry.util.types import Attributes

    from replog.tracing.tracer import Kind, SpanReport

#: Spans that may wait for the receiver, those of the request under way included.
QUEUE_SPANS = 2048
#: Spans in one request, and milliseconds after which fewer are sent.
REQUEST_SPANS = 512
DELAY_MS = 1000
#: Seconds that one request may take, its repetitions included.
EXPORT_TIMEOUT_S = 5.0
#: Path of the receiver, behind the endpoint.
TRACES_PATH = "/v1/traces"
#: Name of the thread that sends the last spans of a tracer that was closed.
CLOSING = "tracer shutdown"
_KINDS = {kind.name: kind for kind in trace.SpanKind}


class OtlpTracer:
    """:class:`~replog.tracing.tracer.Tracer` whose spans go to the receiver at ``endpoint``.

    ``ratio`` is the share of traces that begin here and are recorded.
    """

    def __init__(self, endpoint: str, ratio: float, *, service: str, report: SpanReport) -> None:
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}{TRACES_PATH}", timeout=EXPORT_TIMEOUT_S)
        self._provider = TracerProvider(
            sampler=ParentBased(_LinkedOrRatio(ratio)),
            resource=Resource.create(_resource(service)),
            # The process may not wait for that: `close` has a time limit.
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(_BoundedProcessor(exporter, _Queue(report)))
        self._tracer = self._provider.get_tracer("replog", version("replog"))

    def begin(
        self,
        name: str,
        kind: Kind,
        attributes: Mapping[str, str | int],
        *,
        parent: TraceParent | None = None,
        links: Sequence[TraceParent] = (),
        start_ns: int | None = None,
    ) -> OtlpSpan:
        """A span that began at ``start_ns`` since 1970, by default now."""
        span = self._tracer.start_span(
            name,
            context=trace.set_span_in_context(trace.INVALID_SPAN if parent is None else _remote_span(parent)),
            kind=_KINDS[kind],
            attributes=attributes,
            links=[trace.Link(_context_of(link)) for link in links],
            start_time=start_ns,
        )
        return OtlpSpan(self._tracer, span)

    def current(self) -> TraceParent | None:
        """The OpenTelemetry span in which the calling code runs; None outside of any."""
        context = trace.get_current_span().get_span_context()
        return _parent_of(context) if context.is_valid else None

    def close(self, timeout_s: float) -> None:
        """Send what waits; give up after ``timeout_s`` seconds."""
        closing = threading.Thread(target=self._provider.shutdown, name=CLOSING, daemon=True)
        closing.start()
        closing.join(timeout_s)


class OtlpSpan:
    """:class:`~replog.tracing.tracer.Span` of OpenTelemetry."""

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def parent(self) -> TraceParent:
        """The span as parent of others."""
        return _parent_of(self._span.get_span_context())

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A part of the span, as a span of its own."""
        with self._tracer.start_as_current_span(name, context=trace.set_span_in_context(self._span)):
            yield

    def describe(self, name: str, attributes: Mapping[str, str | int]) -> None:
        """Replace the name, and add ``attributes``."""
        self._span.update_name(name)
        self._span.set_attributes(attributes)

    def end(self, *, error: str | None = None) -> None:
        """End the span, as an error if its description is given."""
        if error is not None:
            self._span.set_status(trace.StatusCode.ERROR, error)
        self._span.end()


class _LinkedOrRatio(Sampler):
    """Records a trace that begins here if it links to a recorded one, or else by ratio."""

    def __init__(self, ratio: float) -> None:
        self._by_ratio = TraceIdRatioBased(ratio)

    def should_sample(  # noqa: PLR0917 - the base class has it so
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        linked = any(link.context.trace_flags.sampled for link in links or ())
        sampler: Sampler = ALWAYS_ON if linked else self._by_ratio
        return sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"LinkedOr{self._by_ratio.get_description()}"


class _Queue:
    """The number of spans that wait for the receiver, with a limit."""

    def __init__(self, report: SpanReport) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._waiting = 0

    def take_place(self) -> bool:
        """Whether one more may wait; it counts as dropped otherwise."""
        with self._lock:
            free = self._waiting < QUEUE_SPANS
            self._waiting += free
        if not free:
            self._report.dropped(1, f"{QUEUE_SPANS} spans wait for the receiver")
        return free

    def leave(self, spans: int, *, exported: bool) -> None:
        """Note what became of spans that waited."""
        with self._lock:
            self._waiting -= spans
        if exported:
            self._report.exported(spans)
        else:
            self._report.dropped(spans, "the receiver does not take them")


class _BoundedProcessor(BatchSpanProcessor):
    """OpenTelemetry's, except that a full queue drops new spans and not old ones, and counts them."""

    def __init__(self, exporter: SpanExporter, queue: _Queue) -> None:
        super().__init__(
            _CountedExporter(exporter, queue),
            max_queue_size=QUEUE_SPANS,
            schedule_delay_millis=DELAY_MS,
            max_export_batch_size=REQUEST_SPANS,
        )
        self._queue = queue

    def on_end(self, span: ReadableSpan) -> None:
        if span.context.trace_flags.sampled and self._queue.take_place():
            super().on_end(span)


class _CountedExporter(SpanExporter):
    def __init__(self, exporter: SpanExporter, queue: _Queue) -> None:
        self._exporter = exporter
        self._queue = queue

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self._queue.leave(len(spans), exported=result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _resource(service: str) -> dict[str, str]:
    # The standard's variable has the last word.
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
    return named | {"service.version": version("replog")}


def _parent_of(context: SpanContext) -> TraceParent:
    sampled = context.trace_flags.sampled
    return TraceParent(trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id), sampled)


def _context_of(parent: TraceParent) -> SpanContext:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if parent.sampled else trace.TraceFlags.DEFAULT)
    return trace.SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)


def _remote_span(parent: TraceParent) -> trace.Span:
    return trace.NonRecordingSpan(_context_of(parent))
