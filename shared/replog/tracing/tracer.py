"""The port to tracing; :class:`replog.tracing.otlp.OtlpTracer` is behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from replog.tracing.traceparent import TraceParent

#: Role of a span between processes, as OpenTelemetry names it.
Kind = Literal["CONSUMER", "PRODUCER", "SERVER"]
#: Values of the label ``result`` of the metric that counts spans.
SPAN_RESULTS = ("exported", "dropped")


class Span(Protocol):
    """One thing that a process does. Its owner calls :meth:`end`."""

    @property
    def parent(self) -> TraceParent:
        """The span as parent of others."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """A part of the span, as a span of its own; an exception makes it an error, and is raised on."""

    def describe(self, name: str, attributes: Mapping[str, str | int]) -> None:
        """Replace the name, and add ``attributes``."""

    def end(self, *, error: str | None = None) -> None:
        """End the span, as an error if its description is given."""


class Tracer(Protocol):
    """Begins spans. No method waits for the receiver."""

    def begin(
        self,
        name: str,
        kind: Kind,
        attributes: Mapping[str, str | int],
        *,
        parent: TraceParent | None = None,
        links: Sequence[TraceParent] = (),
        start_ns: int | None = None,
    ) -> Span:
        """A span that began at ``start_ns`` since 1970, by default now.

        It is recorded if its ``parent`` is. Without a parent, it is recorded if one of its ``links`` is, or else by the
        ratio of the settings.
        """

    def current(self) -> TraceParent | None:
        """The OpenTelemetry span in which the calling code runs; None outside of any."""


class SpanReport(Protocol):
    """Receives how many spans were exported or dropped. Its methods are called from any thread."""

    def exported(self, spans: int) -> None:
        """So many spans have reached the receiver."""

    def dropped(self, spans: int, reason: str) -> None:
        """So many spans are lost, because the queue was full or the receiver did not take them."""
