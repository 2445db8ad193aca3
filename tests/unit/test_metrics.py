"""What metrics say when a process starts, and what several processes count together."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from replog.errors import BUSY, INVALID_REASONS, REFUSED, STORE_TROUBLES, UNREADABLE
from replog.events import TYPES
from replog.statuses import STATUSES

if TYPE_CHECKING:
    from pathlib import Path

#: Counts some streams, asks as Prometheus does, and ends as by a crash.
PROGRAM = """
import os, sys
from replog_api import metrics
metrics.STREAM_CLIENTS.inc(int(sys.argv[1]))
sys.stdout.buffer.write(metrics.exposition())
sys.stdout.flush()
os.kill(os.getpid(), 9)
"""


def streams_told(folder: Path, number: int) -> float:
    """How many streams a process tells of that has so many itself."""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(number)], env=environment, capture_output=True, text=True, check=False
    )
    (line,) = (line for line in ended.stdout.splitlines() if line.startswith("replog_stream_clients "))
    return float(line.split(" ")[1])


def test_streams_of_a_process_that_was_killed_are_no_more(tmp_path: Path) -> None:
    """They do not count for those that are left."""
    assert streams_told(tmp_path, 3) == 3
    assert [path.name for path in tmp_path.glob("gauge_livesum_*.db")]
    assert streams_told(tmp_path, 4) == 4


#: Prints what each service exposes before it has done anything.
STARTED = {
    "collector": "import replog_collector.metrics, prometheus_client as p; print(p.generate_latest().decode())",
    "query service": (
        "from replog_api import metrics; metrics.begin(['/a/{id}'], ['grafana']); print(metrics.exposition().decode())"
    ),
}
MERGED = {(result, kind) for kind in TYPES for result in ("applied", "duplicate", "superseded")}


def at_start(service: str) -> dict[str, dict[tuple[str, ...], float]]:
    """By metric, the value of each series of a process that has just started, by the values of its labels."""
    printed = subprocess.run(
        [sys.executable, "-c", STARTED[service]], capture_output=True, text=True, check=True
    ).stdout
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(printed):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels[name] for name in sorted(sample.labels))] = (
                sample.value
            )
    return found


@pytest.mark.parametrize(
    ("service", "metric", "labels"),
    [
        ("collector", "replog_events_total", MERGED | {("invalid", "unknown")}),
        ("collector", "replog_dead_letters_total", {(reason,) for reason in (*INVALID_REASONS, REFUSED, UNREADABLE)}),
        ("collector", "replog_store_errors_total", {(kind,) for kind in (*STORE_TROUBLES, REFUSED)}),
        ("collector", "replog_record_transitions_total", {(status.name,) for status in STATUSES}),
        ("query service", "replog_store_errors_total", {(kind,) for kind in (*STORE_TROUBLES, BUSY)}),
        ("query service", "replog_http_requests_total", {("/a/{id}", status) for status in ("200", "500", "503")}),
        ("query service", "replog_token_requests_total", {("grafana",)}),
    ],
)
def test_series_that_are_known_beforehand_begin_at_0(service: str, metric: str, labels: set[tuple[str, ...]]) -> None:
    """A counter that begins at 1 has no increase, and fires no alert."""
    assert at_start(service)[metric] == dict.fromkeys(labels, 0.0)


@pytest.mark.parametrize("service", STARTED)
def test_the_version_is_told(service: str) -> None:
    (labels,) = at_start(service)["replog_build_info"]
    assert labels[0] == ".".join(map(str, sys.version_info[:3]))
