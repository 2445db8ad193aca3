"""Time and memory of ``replog verify`` on a topic of many events, against the store that a collector filled from it."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks import collect
from tests.benchmarks.machine import pin

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_LOOK_S = 0.5
#: The command of the same environment as this program.
COMMAND = [str(Path(sys.executable).with_name("replog")), "verify", "--json"]


class Verified(NamedTuple):
    """A verification's answer (the object of ``--json``) and exit code, and what it took."""

    answer: dict[str, Any]
    code: int
    seconds: float
    cpu_s: float
    peak_mb: float


def run(servers: str, topic: str, redis_url: str, prefix: str) -> Verified:
    """Verify the store under ``prefix`` with ``topic``, on a core of its own."""
    environment = {**os.environ, **collect.settings(servers, topic, redis_url, prefix)}
    began_s, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    # A pipe that nobody reads meanwhile would hold up an answer with many differences.
    with tempfile.TemporaryFile("w+") as answer:
        process = subprocess.Popen(COMMAND, env=environment, stdout=answer, stderr=subprocess.DEVNULL)
        pin(process.pid, collect.COLLECTOR_CORE)
        peak_kb = 0
        while process.poll() is None:
            peak_kb = max(peak_kb, _peak_kb(process.pid))
            time.sleep(_LOOK_S)
        seconds, after = time.monotonic() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
        answer.seek(0)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Verified(json.load(answer), process.returncode, seconds, cpu_s, peak_kb / 1024)


def _peak_kb(pid: int) -> int:
    """The peak memory of a process; 0 where it has ended."""
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0
    return int(found[1]) if found else 0
