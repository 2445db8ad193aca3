"""The web page in a browser: how soon its rows are seen with a record of many details and with many tasks."""

from __future__ import annotations

import asyncio
import os
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.page import BASE, started
from tests.support.browser import VARIABLE, Store, browser_binary, launched, visiting
from tests.support.page_data import HUGE, HUGE_TASK, fill, huge_record, many_tasks

if TYPE_CHECKING:
    from playwright.async_api import Browser

PREFIX = "bench-browser"
#: Each view is opened so often, every time by a browser that has nothing of it.
TIMES = 5
GOAL_MS = 1000
#: Views: their path below ``/ui/``, and what is seen once their rows are.
VIEWS = {
    "now": ("", "td.c-task"),
    "tasks, first page of 200": ("tasks?size=200", "td.c-task"),
    "tasks, last page of 200": ("tasks?size=200&page={last_tasks}", "td.c-task"),
    "tasks, failed ones of one team": ("tasks?prefix=team-7%2F&status=FAILED", "td.c-task"),
    "task": (f"task?key={HUGE_TASK}", "td.c-record"),
    "record, clusters": (f"record?id={HUGE}", "table.matrix tbody tr"),
    "record, failures": (f"record?id={HUGE}&tab=failures", "td.c-why"),
    "record, details, first page of 200": (f"record?id={HUGE}&tab=details&size=200", "td.c-what"),
    "record, details, last page of 200": (f"record?id={HUGE}&tab=details&size=200&page={{last_details}}", "td.c-what"),
    "record, details of one cluster that failed": (
        f"record?id={HUGE}&tab=details&status=FAILED&remoteCluster=dev",
        "td.c-what",
    ),
}


class Seen(NamedTuple):
    """How soon the rows of one view were seen, in ms, and how many rows and elements it has."""

    median_ms: float
    worst_ms: float
    rows: int
    elements: int


def run(redis_url: str, *, details: int, tasks: int) -> dict[str, Seen]:
    """Fill a store, and open each view."""
    return asyncio.run(_run(Store(redis_url, PREFIX), details, tasks))


async def _run(store: Store, details: int, tasks: int) -> dict[str, Seen]:
    await fill(store, huge_record(details))
    await fill(store, many_tasks(tasks))
    last = {"last_tasks": tasks // 200, "last_details": details // 200}
    with started(store.redis_url, store.prefix, f"{BASE}/detail/page/{HUGE}?pageNumber=1&pageSize=20") as service:
        async with launched(browser_binary(os.environ.get(VARIABLE))) as browser:
            return {
                name: await _opened(browser, f"http://127.0.0.1:{service.port}", path.format(**last), selector)
                for name, (path, selector) in VIEWS.items()
            }


async def _opened(browser: Browser, url: str, path: str, selector: str) -> Seen:
    took_ms, rows, elements = list[float](), 0, 0
    for _ in range(TIMES):
        async with visiting(browser, url) as tab:
            began = time.perf_counter()
            await tab.page.goto(f"{url}/ui/{path}", wait_until="commit")
            await tab.main.locator(selector).first.wait_for()
            took_ms.append((time.perf_counter() - began) * 1000)
            await tab.settled()
            rows = await tab.main.locator("tbody tr").count()
            elements = await tab.page.evaluate("document.querySelectorAll('*').length")
    return Seen(median(took_ms), max(took_ms), rows, elements)
