"""The pictures of the web page in the documentation, taken from the demo: ``make screenshots``."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from replog_cli.announcement import READY
from replog_local.catalogue import TASKS
from tests.support.browser import VARIABLE, browser_binary, launched, visiting
from tests.support.query_service import BASE
from tests.support.services.plain_http import NO_TLS
from tests.support.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How long the demo runs before it is looked at, in seconds: its earlier runs are stored by then, and some go on.
RUNS_FOR_S = 60.0
STOPS_WITHIN_S = 30.0


class Picture(NamedTuple):
    """One picture: its file, the path below ``/ui/`` and how it is shown."""

    name: str
    path: str
    scheme: str = "light"
    locale: str = "en-US"
    width: int = 1280
    height: int = 800


def pictures(failed: str, earlier: str) -> list[Picture]:
    """What is taken, with two failed runs of the first task."""
    task = TASKS[0].key
    return [
        Picture("now", ""),
        Picture("now-dark", "", scheme="dark"),
        Picture("record", f"record?id={failed}"),
        Picture("details-zh", f"record?id={failed}&tab=details", scheme="dark", locale="zh-CN"),
        Picture("trend", f"task?key={task}&tab=trend"),
        Picture("compare", f"compare?a={earlier}&b={failed}", height=720),
        Picture("phone", "", width=380, height=760),
    ]


def failed_runs(url: str) -> Iterator[str]:
    """The failed runs of the first task, the newest first."""
    path = f"{BASE}/page/{TASKS[0].key}"
    answer = httpx.get(f"{url}{path}?pageNumber=1&pageSize=50&status=FAILED", verify=NO_TLS)
    yield from (record["id"] for record in answer.json()["data"]["records"])


async def take(url: str, folder: Path) -> None:
    """Take all pictures."""
    failed, earlier = list(failed_runs(url))[:2]
    async with launched(browser_binary(os.environ.get(VARIABLE))) as browser:
        for picture in pictures(failed, earlier):
            look: dict[str, Any] = {"color_scheme": picture.scheme, "locale": picture.locale, "timezone_id": "UTC"}
            size = {"width": picture.width, "height": picture.height}
            async with visiting(browser, url, viewport=size, **look) as tab:
                await tab.go(picture.path)
                await tab.settled()
                await tab.page.screenshot(path=folder / f"page-{picture.name}.png")


def main() -> None:
    """Run the demo for a while, and take the pictures into the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--after", type=float, default=RUNS_FOR_S, help="seconds for which the demo runs before")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="replog-demo-") as data:
        command = [sys.executable, "-m", "replog_cli.main", "up", "--demo", "--port", str(port), "--data", data]
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert demo.stdout
            for line in demo.stdout:
                if READY in line:
                    break
            time.sleep(given.after)
            asyncio.run(take(f"http://127.0.0.1:{port}", given.folder))
        finally:
            demo.send_signal(signal.SIGTERM)
            demo.wait(STOPS_WITHIN_S)


if __name__ == "__main__":
    main()
