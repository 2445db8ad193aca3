"""What several processes count together is true."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

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
