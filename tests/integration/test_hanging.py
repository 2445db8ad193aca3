"""A process whose event loop hangs still answers its probes, and then ends."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import httpx

from replog_collector.health.watchdog import EXIT_CODE
from tests.support.services.process import free_port, wait_until

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_S = 30.0
#: As the collector's main, with less patience; the loop is then blocked for as long as nobody ends it.
PROGRAM = """
import asyncio, sys, time
from replog_collector.health import watchdog
from replog_collector.health.server import HealthServer
from replog_collector.health.progress import Progress

watchdog.GRACE_S = 3.0

async def main():
    progress = Progress(time.monotonic, 1.0)
    watch = watchdog.Watchdog(progress, clock=time.monotonic).check
    with HealthServer("127.0.0.1", int(sys.argv[1]), progress, {}, watch=watch):
        while True:
            time.sleep(1)

asyncio.run(main())
"""


def test_the_health_thread_ends_a_process_whose_event_loop_hangs(tmp_path: Path) -> None:
    port = free_port()

    def livez() -> int:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/livez", timeout=5).status_code
        except httpx.TransportError:
            return 0

    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(port)], cwd=tmp_path) as process:
        try:
            assert wait_until(lambda: livez() == 503, DEADLINE_S)
            assert process.wait(DEADLINE_S) == EXIT_CODE
        finally:
            process.kill()
