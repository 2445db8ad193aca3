"""A receiver of traces that a test controls: a real HTTP server on loopback that reads OTLP's protobuf."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from replog.tracing.otlp import CLOSING
from tests.support.http_server import QuietHandler, serving_http
from tests.support.services.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

DEADLINE_S = 30.0
#: Ids of a trace and of a span in it, as a client gives them.
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
#: Code of a span's status that says that it failed, as OTLP has it.
ERROR = 2


@dataclass(frozen=True)
class ReceivedSpan:
    """One span, with the ids as ``traceparent`` writes them."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    links: list[tuple[str, str]]
    attributes: dict[str, str | int]
    failed: bool
    start_ns: int
    end_ns: int

    @property
    def context(self) -> tuple[str, str]:
        """What links to this span have."""
        return self.trace_id, self.span_id


@dataclass
class OtlpReceiver:
    """Answers with ``status``, once ``answering`` is set."""

    port: int = 0
    status: int = 200
    answering: threading.Event = field(default_factory=threading.Event)
    #: One for each request that came, whatever was answered.
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    taken: list[ReceivedSpan] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """What processes are to be told."""
        return f"http://127.0.0.1:{self.port}"

    def spans(self, name: str) -> list[ReceivedSpan]:
        """Spans that were taken whose name begins so."""
        return [span for span in self.taken if span.name.startswith(name)]

    def has(self, condition: Callable[[], object]) -> None:
        """Return once ``condition`` holds."""
        assert wait_until(lambda: bool(condition()), DEADLINE_S), self.taken


@contextlib.contextmanager
def receiving_traces() -> Iterator[OtlpReceiver]:
    """A receiver that runs."""
    receiver = OtlpReceiver()
    receiver.answering.set()

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.requests.append(request)
            receiver.paths.append(self.path)
            receiver.answering.wait()
            if receiver.status == 200:
                receiver.taken += _spans_of(request)
            with contextlib.suppress(OSError):
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

    with serving_http(Handler, "OTLP receiver") as receiver.port:
        try:
            yield receiver
        finally:
            receiver.answering.set()
            # A tracer that was closed before it got an answer logs the answer, which is no line of the next test.
            assert wait_until(lambda: not any(thread.name == CLOSING for thread in threading.enumerate()), DEADLINE_S)


def _spans_of(request: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
    for resource in request.resource_spans:
        service = str(_values(resource.resource.attributes)["service.name"])
        for scope in resource.scope_spans:
            yield from (_received(service, span) for span in scope.spans)


def _received(service: str, span: Span) -> ReceivedSpan:
    return ReceivedSpan(
        service=service,
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        attributes=_values(span.attributes),
        failed=span.status.code == ERROR,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
    )


def _values(attributes: Iterator[KeyValue]) -> dict[str, str | int]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in attributes}
