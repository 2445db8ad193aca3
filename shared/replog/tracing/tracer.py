"""The port to tracing: :class:`replog.tracing.otlp.OtlpTracer`, opened if the settings name a receiver."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol

from replog.errors import SettingsError
from replog.settings import variable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from replog.settings import TracingSettings
    from replog.tracing.traceparent import TraceParent

#: Role of a span between processes, as OpenTelemetry names it.
Kind = Literal["CONSUMER", "PRODUCER", "SERVER"]
#: Values of the label ``result`` of the metric that counts spans.
SPAN_RESULTS = ("exported", "dropped")
#: Seconds that the last spans may take to reach the receiver when a process ends.
CLOSE_S = 0.5


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


def check_extra(settings: TracingSettings) -> None:
    """Refuse settings that ask for traces where the extra ``tracing`` is not installed.

    Raises:
        SettingsError: that is so.
    """
    if settings.otlp_endpoint is None:
        return
    if not (find_spec("opentelemetry") and find_spec("opentelemetry.sdk") and find_spec("opentelemetry.exporter")):
        raise SettingsError(
            f"{variable('otlp_endpoint')}={settings.otlp_endpoint} needs the extra `tracing`, which is not installed; "
            "allowed: pip install 'replog[tracing]', or no endpoint"
        )


@contextmanager
def opened_tracer(settings: TracingSettings, *, service: str, report: SpanReport) -> Iterator[Tracer | None]:
    """The tracer of ``service``, closed within :data:`CLOSE_S` afterwards; None without an endpoint.

    Raises:
        SettingsError: the extra ``tracing`` is not installed.
    """
    if settings.otlp_endpoint is None:
        yield None
        return
    check_extra(settings)
    # Imported on demand: the libraries are optional, and take a fifth of a second to import.
    from replog.tracing.otlp import OtlpTracer  # noqa: PLC0415

    tracer = OtlpTracer(settings.otlp_endpoint, settings.trace_ratio, service=service, report=report)
    try:
        yield tracer
    finally:
        tracer.close(CLOSE_S)
