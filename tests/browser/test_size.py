"""A record of many details and a store of many tasks: bounded rows and memory. How fast: `make bench ARGS=browser`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.support.browser import ago
from tests.support.page_data import HUGE, OPEN_DETAILS, fill, huge_record, many_tasks
from tests.support.query_service import event

if TYPE_CHECKING:
    from tests.support.browser import Open, Store, Visit

#: Rows that a view has at most, beside the heads of its tables.
MOST_ROWS = 200
#: What the ordinary run and the long one take.
DETAILS = [50_000, pytest.param(1_000_000, marks=pytest.mark.long)]
TASKS = [20_000, pytest.param(100_000, marks=pytest.mark.long)]
#: Live updates, and by how much the heap may have grown after them: what leaks with each grows without end.
WARM_UP, UPDATES, GROWN_BYTES = 15, 60, 1_500_000


async def rows_in(tab: Visit) -> int:
    """Rows of all tables of the view."""
    await tab.settled()
    return await tab.main.locator("tbody tr").count()


async def heap_of(tab: Visit) -> int:
    """Bytes that the page holds on to."""
    session = await tab.page.context.new_cdp_session(tab.page)
    for _ in range(2):
        await session.send("HeapProfiler.collectGarbage")
    used = await session.send("Runtime.getHeapUsage")
    await session.detach()
    return int(used["usedSize"])


@pytest.mark.parametrize("details", DETAILS)
async def test_a_record_of_many_details(store: Store, visit: Open, details: int) -> None:
    """Totals are exact; a page has at most 200 rows, the last page is a click away."""
    await fill(store, huge_record(details))
    tab = await visit(f"record?id={HUGE}")
    failed = len(range(0, details - OPEN_DETAILS, 10))
    await tab.shows(f"{failed:,} failed")
    await tab.shows(f"of {details:,} expected")
    await expect(tab.main.locator("tfoot td.number")).to_have_text(f"{details:,}")
    assert await rows_in(tab) <= MOST_ROWS
    for path in ("tab=details&size=200", f"tab=details&size=200&page={details // 200}", "tab=failures"):
        await tab.go(f"record?id={HUGE}&{path}")
        assert 0 < await rows_in(tab) <= MOST_ROWS, path
    await tab.shows("dev answered <n> after <n> bytes")
    await tab.go(f"record?id={HUGE}&tab=details&remoteCluster=dev&size=200")
    await tab.shows(f"1–200 of {len(range(0, details, 3)):,}")
    # More than one size of a page is not to be had.
    await tab.go(f"record?id={HUGE}&tab=details&size=100000")
    await tab.shows(f"1–50 of {details:,}")


@pytest.mark.parametrize("tasks", TASKS)
async def test_many_tasks(store: Store, visit: Open, tasks: int) -> None:
    await fill(store, many_tasks(tasks))
    tab = await visit("tasks?size=200")
    await tab.shows(f"1–200 of {tasks:,}")
    assert await rows_in(tab) == MOST_ROWS
    await tab.go(f"tasks?size=200&page={tasks // 200}")
    assert await rows_in(tab) == MOST_ROWS
    await tab.go("tasks?prefix=team-96%2F&status=FAILED")
    failed = len([number for number in range(96, tasks, 97) if number % 5 == 0])
    await tab.shows(f"of {failed:,}")
    await tab.go("")
    await expect(tab.main.locator(".tile-count").first).to_have_text(f"{tasks // 5:,}")
    assert await rows_in(tab) <= MOST_ROWS


async def test_a_matrix_of_many_clusters_is_cut(store: Store, visit: Open) -> None:
    """Those that were named first: with the most failed. Its sums count all."""
    at = ago(minutes=1)
    details = [
        event("detail.finished", at=at, detailId=f"{number}", remoteCluster=f"edge-{number:03}", status="SUCCESS")
        for number in range(250)
    ]
    await store.write(event("record.started", at=at), *details)
    tab = await visit("record?id=r")
    await tab.shows("The first 100 of 250 are shown.")
    await expect(tab.main.locator("tfoot td.number")).to_have_text("250")
    assert await rows_in(tab) == 100


async def test_the_heap_stays_flat_over_many_live_updates(store: Store, visit: Open) -> None:
    """Of a record's head and matrix: by stream and by polls, which a clock that runs fast makes many."""
    await fill(store, huge_record(2_000))
    tab = await visit(f"record?id={HUGE}")
    await tab.shows("live")

    async def update(number: int) -> None:
        await store.write(
            event("detail.finished", at=ago(seconds=0), recordId=HUGE, detailId=f"new-{number}", status="FAILED")
        )
        await tab.shows(f"{190 + number:,} failed")

    for number in range(1, WARM_UP + 1):
        await update(number)
    before, nodes = await heap_of(tab), await tab.page.evaluate("document.querySelectorAll('*').length")
    for number in range(WARM_UP + 1, WARM_UP + UPDATES + 1):
        await update(number)
    assert await heap_of(tab) - before < GROWN_BYTES
    assert await tab.page.evaluate("document.querySelectorAll('*').length") <= nodes + 100
