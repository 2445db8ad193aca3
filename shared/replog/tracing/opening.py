"""Opens the tracer of a process, if its settings name a receiver."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from replog.errors import SettingsError
from replog.settings import variable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replog.settings import TracingSettings
    from replog.tracing.tracer import SpanReport, Tracer

#: Seconds that the last spans may take to reach the receiver when a process ends.
CLOSE_S = 0.5


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
