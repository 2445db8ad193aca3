"""Every metric of a query service (docs/operations.md lists the same)."""

from __future__ import annotations

import os
import platform
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
    multiprocess,
)

from replog.errors import BUSY, STORE_TROUBLES
from replog.tracing.tracer import SPAN_RESULTS
from replog_api.worker_processes import WorkerProcesses

if TYPE_CHECKING:
    from collections.abc import Iterable

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

#: Of the query service alone: the local stack runs a collector in the same process, with metrics of the same names.
REGISTRY = CollectorRegistry()
for _of_process in (ProcessCollector, PlatformCollector, GCCollector):
    _of_process(registry=REGISTRY)
#: This version, and that of Python: always 1.
BUILD_INFO = Gauge(
    "replog_build_info",
    "The version that runs, and that of Python",
    ["version", "python"],
    multiprocess_mode="mostrecent",
    registry=REGISTRY,
)
#: Whether Redis answered when the metrics were read.
DEPENDENCY_UP = Gauge(
    "replog_dependency_up",
    "1 while the dependency answers",
    ["dependency"],
    multiprocess_mode="mostrecent",
    registry=REGISTRY,
)
#: The time up to which all events had been applied, as answers say it; 0 where it is not known.
AS_OF = Gauge(
    "replog_as_of_timestamp_seconds",
    "Time up to which events are in the answers",
    multiprocess_mode="mostrecent",
    registry=REGISTRY,
)
#: Requests by route (its template) and HTTP status.
REQUESTS = Counter("replog_http_requests_total", "Requests answered", ["route", "status"], registry=REGISTRY)
#: Seconds from a request's head to the end of its answer, without those that the client wanted to wait for changes.
REQUEST_SECONDS = Histogram(
    "replog_http_request_seconds", "Seconds to answer a request", ["route"], buckets=_FAST, registry=REGISTRY
)
#: Statuses that alerts count, of every route.
_STATUSES = (200, 500, 503)
#: Requests answered 304: the client had the answer already.
NOT_MODIFIED = Counter("replog_not_modified_total", "Requests answered 304", registry=REGISTRY)
#: Seconds the store took, by what was asked of it.
STORE_SECONDS = Histogram(
    "replog_store_seconds", "Seconds a store operation took", ["operation"], buckets=_FAST, registry=REGISTRY
)
#: Requests that the store failed, by kind.
STORE_ERRORS = Counter("replog_store_errors_total", "Requests that the store failed", ["kind"], registry=REGISTRY)
#: Requests by the name of their token.
TOKEN_REQUESTS = Counter(
    "replog_token_requests_total", "Requests by the name of their token", ["token"], registry=REGISTRY
)
#: Streams that are open.
STREAM_CLIENTS = Gauge("replog_stream_clients", "Streams that are open", multiprocess_mode="livesum", registry=REGISTRY)
#: Spans of traces that reached their receiver (exported), and that were lost (dropped).
TRACE_SPANS = Counter(
    "replog_trace_spans_total", "Spans of traces, by what became of them", ["result"], registry=REGISTRY
)


def count_spans(result: str, spans: int) -> None:
    """Count spans by ``result``, one of :data:`SPAN_RESULTS`."""
    TRACE_SPANS.labels(result).inc(spans)


def begin(routes: Iterable[str], tokens: Iterable[str]) -> None:
    """Create the series that are known when the service starts, at 0.

    A counter that begins at 1 has no increase, and fires no alert. Called by each worker process.
    """
    BUILD_INFO.labels(version("replog"), platform.python_version()).set(1)
    for route in routes:
        for status in _STATUSES:
            requests_of(route, status)
    for kind in (*STORE_TROUBLES, BUSY):
        STORE_ERRORS.labels(kind)
    for result in SPAN_RESULTS:
        TRACE_SPANS.labels(result)
    begin_tokens(tokens)


def begin_tokens(names: Iterable[str]) -> None:
    """Create the series of tokens with these names, at 0. What is counted already stays."""
    for name in names:
        TOKEN_REQUESTS.labels(name)


# `labels` checks and locks at each call. Routes and statuses are few.
@cache
def requests_of(route: str, status: int) -> Counter:
    """The counter of requests with this route and HTTP status."""
    return REQUESTS.labels(route, str(status))


@cache
def request_seconds_of(route: str) -> Histogram:
    """The histogram of the requests with this route."""
    return REQUEST_SECONDS.labels(route)


@cache
def store_seconds_of(operation: str) -> Histogram:
    """The histogram of this operation of the store."""
    return STORE_SECONDS.labels(operation)


def exposition() -> bytes:
    """The metrics as text; of all worker processes where there are several."""
    registry = REGISTRY
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder:
        _forget_the_dead(Path(folder))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        registry.register(WorkerProcesses(Path(folder), os.getppid()))
    return generate_latest(registry)


def _forget_the_dead(folder: Path) -> None:
    """Streams of a process that was killed are closed, whatever it counted last."""
    for path in folder.glob("gauge_live*.db"):
        found = re.search(r"_(\d+)\.db$", path.name)
        if found and not _is_alive(int(found[1])):
            multiprocess.mark_process_dead(int(found[1]), str(folder))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
