"""Every metric of a query service (docs/operations.md lists the same)."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

#: Requests by route (its template) and HTTP status.
REQUESTS = Counter("replog_http_requests_total", "Requests answered", ["route", "status"])
#: Seconds from a request's head to the end of its answer, without those that the client wanted to wait for changes.
REQUEST_SECONDS = Histogram("replog_http_request_seconds", "Seconds to answer a request", ["route"], buckets=_FAST)
#: Requests answered 304: the client had the answer already.
NOT_MODIFIED = Counter("replog_not_modified_total", "Requests answered 304")
#: Seconds the store took, by what was asked of it.
STORE_SECONDS = Histogram("replog_store_seconds", "Seconds a store operation took", ["operation"], buckets=_FAST)
#: Streams that are open.
STREAM_CLIENTS = Gauge("replog_stream_clients", "Streams that are open", multiprocess_mode="livesum")


# `labels` checks and locks at each call. Routes and statuses are few.
@cache
def requests_of(route: str, status: int) -> Counter:
    """The counter of requests with this route and HTTP status."""
    return REQUESTS.labels(route, str(status))


@cache
def request_seconds_of(route: str) -> Histogram:
    """The histogram of the requests with this route."""
    return REQUEST_SECONDS.labels(route)


def exposition() -> bytes:
    """The metrics as text; of all worker processes where there are several."""
    registry = REGISTRY
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder:
        _forget_the_dead(Path(folder))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
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
