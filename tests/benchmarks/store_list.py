"""The list of all details of one record, from the query service as it is deployed: when it begins, what it keeps."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.asking import shown_ms
from tests.benchmarks.machine import pin
from tests.benchmarks.redis_calls import CallRecorder
from tests.benchmarks.store_table import Line, Section
from tests.support.services.process import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.store_data import Shape

API_CORE = 0
GOAL_MS = 50
_PATH = "/replication/api/task/record/detail/list/"
#: Stands once in each row.
_MARK = b'"recordId"'
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


class Listing(NamedTuple):
    """One answer: when its first byte came, when its last, how long it was."""

    first_ms: float
    seconds: float
    bytes: int
    rows: int


def read(url: str, prefix: str, shape: Shape) -> tuple[Section, CallRecorder]:
    """Ask for a short list once, then for the whole long one."""
    with _started(url, prefix) as (port, pid):
        _listed(port, "no-such-record")
        before = _peak_mb(pid)
        with CallRecorder(url) as recorder:
            listing = _listed(port, shape.record_id)
        after = _peak_mb(pid)
    assert listing.rows >= shape.details, listing
    lines = [
        Line("first byte, ms", shown_ms(listing.first_ms), str(GOAL_MS), met=listing.first_ms <= GOAL_MS),
        Line("last byte, s", f"{listing.seconds:.1f}"),
        Line("rows a second", f"{listing.rows / listing.seconds:,.0f}"),
        Line("length, MB", f"{listing.bytes / 1e6:,.0f}"),
        Line("peak memory of the process before / after, MB", f"{before:,.0f} / {after:,.0f}"),
        Line("longest call of Redis meanwhile, ms", recorder.calls.longest_of_all),
    ]
    return Section(f"3. GET detail/list of {listing.rows:,} details from replog-api", lines), recorder


def _listed(port: int, record_id: str) -> Listing:
    connection = HTTPConnection("127.0.0.1", port, timeout=600)
    begun = time.perf_counter()
    connection.request("GET", _PATH + record_id)
    answer = connection.getresponse()
    carried = answer.read(1)
    first_s = time.perf_counter() - begun
    length, rows = 1, 0
    while chunk := answer.read1(1 << 20):
        length += len(chunk)
        seen = carried + chunk
        rows += seen.count(_MARK)
        carried = seen[-len(_MARK) + 1 :]
    connection.close()
    return Listing(first_s * 1000, time.perf_counter() - begun, length, rows)


def _peak_mb(pid: int) -> float:
    found = _PEAK.search(Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    assert found
    return int(found[1]) / 1024


@contextmanager
def _started(redis_url: str, prefix: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    environment = {
        **os.environ,
        "REPLOG_REDIS_URL": redis_url,
        "REPLOG_REDIS_PREFIX": prefix,
        "REPLOG_API_PORT": str(port),
        "REPLOG_LOG_LEVEL": "WARNING",
    }
    process = subprocess.Popen([sys.executable, "-m", "replog_api.main"], env=environment)
    try:
        assert wait_until(lambda: process.poll() is not None or _alive(port), 30)
        pin(process.pid, API_CORE)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _alive(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
