"""Refusals as the page tells them, rows that stay, and requests of a tab that nobody looks at."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from replog.cancellation import cancel_and_wait
from tests.support.browser import ago, run_of
from tests.support.live import live
from tests.support.page_data import FAILED, RUNNING, detail, runs
from tests.support.query_service import event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Route

    from tests.support.browser import Open, Store, Visit
    from tests.support.live import LiveService

TRACE = "0af7651916cd43dd8448eb211c80319c"
#: As `document.hidden` is in a tab behind others.
SHOW = """
state => {
  Object.defineProperty(document, "visibilityState", {configurable: true, get: () => state});
  document.dispatchEvent(new Event("visibilitychange"));
}
"""


@pytest.fixture
async def limited(store: Store) -> AsyncIterator[LiveService]:
    """A service that takes one request a second of this machine."""
    await store.write(*runs())
    async with live(store.redis_url, store.prefix, api_requests_per_s=1) as running:
        yield running


async def ask_on(service: LiveService) -> None:
    """Use up what this machine may ask for, until cancelled."""
    while True:
        await service.client.get("/replication/api/task/list?pageNumber=1&pageSize=1")
        await asyncio.sleep(0.05)


async def test_too_many_requests_are_said_and_rows_stay(limited: LiveService, visit: Open) -> None:
    """As the service itself refuses them, with its Retry-After."""
    tab = await visit("tasks", "429", service=limited)
    await expect(tab.main.locator("td.c-task")).to_have_count(4)
    alert = tab.main.get_by_role("alert").filter(has_text="Too many requests")
    asking = asyncio.create_task(ask_on(limited), name="another client")
    try:
        await alert.get_by_text("Next attempt in").wait_for()
        await expect(tab.main.locator("td.c-task")).to_have_count(4)
    finally:
        await cancel_and_wait([asking], timeout_s=5.0)
    # It goes on by itself.
    await expect(alert).to_have_count(0)


async def test_an_error_has_a_trace_id_to_copy(store: Store, visit: Open) -> None:
    """Also where the browser has no clipboard, as over plain HTTP."""
    await store.write(*runs())
    tab = await visit("", "500")
    await tab.page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    body = json.dumps({"code": 250102, "message": "unexpected", "data": None, "traceId": TRACE})

    async def failed(route: Route) -> None:
        await route.fulfill(status=500, headers={"Content-Type": "application/json"}, body=body)

    await tab.page.route("**/task/list?*", failed)
    await tab.go("tasks")
    alert = tab.main.get_by_role("alert")
    await expect(alert).to_contain_text("That went wrong: unexpected (500)")
    await alert.get_by_role("button", name=f"Copy: {TRACE}").click()
    await expect(alert).to_contain_text("Copied")
    await pasted(tab, TRACE)


async def pasted(tab: Visit, text: str) -> None:
    """Require what the clipboard has, by pasting it."""
    field = tab.page.get_by_role("searchbox", name="Record id")
    await field.fill("")
    await field.press("ControlOrMeta+V")
    await expect(field).to_have_value(text)


@pytest.mark.parametrize("clipboard", [True, False])
async def test_ids_and_links_are_copied_whole(store: Store, visit: Open, *, clipboard: bool) -> None:
    long = "x" * 120
    await store.write(*run_of(long, "t", started=ago(hours=1), ended=ago(minutes=1), details=[detail(1)]))
    tab = await visit("")
    if not clipboard:
        await tab.page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    else:
        await tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await tab.go(f"record?id={long}&tab=details")
    await tab.main.get_by_role("button", name=f"Copy: {long}").click()
    await tab.shows("Copied")
    await pasted(tab, long)
    await tab.main.get_by_role("button", name="Copy link").click()
    await expect(tab.main.locator(".tab-bar [role=status]")).to_have_text("Copied")
    await pasted(tab, f"{tab.base}/ui/record?id={long}&tab=details")


async def test_a_hidden_tab_asks_nothing(store: Store, visit: Open) -> None:
    """Neither by polls nor by its stream; what is due is asked for when it is seen again."""
    await store.write(*runs())
    tab = await visit("")
    await tab.page.clock.install()
    await tab.go(f"record?id={RUNNING}")
    await tab.shows("live")
    await tab.settled()
    await tab.page.evaluate(SHOW, "hidden")
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    await tab.page.clock.fast_forward(120_000)
    await expect(tab.page.locator("[data-freshness]")).to_be_visible()
    assert asked == []
    async with tab.page.expect_request("**/stream/*"), tab.page.expect_request("**/detail/counts/*"):
        await tab.page.evaluate(SHOW, "visible")
    await tab.shows("live")


async def test_a_stream_that_says_nothing_is_taken_up_where_it_was(store: Store, visit: Open) -> None:
    """After 30 s, without its heart-beat."""
    await store.write(*runs())
    tab = await visit("")
    await tab.page.clock.install()
    await tab.go(f"record?id={RUNNING}")
    await tab.shows("live")
    async with tab.page.expect_request(lambda request: "last-event-id" in request.headers) as again:
        # The first time it is noticed, the second time it is tried again.
        await tab.page.clock.fast_forward(31_000)
        await tab.page.clock.fast_forward(5_000)
    assert "/stream/" in (await again.value).url
    await tab.shows("live")


async def test_rows_of_a_matrix_stay_where_they_are(store: Store, visit: Open) -> None:
    """Though the service names first which cluster has the most failed."""
    await store.write(*runs())
    tab = await visit(f"record?id={RUNNING}")
    rows = tab.main.locator("table.matrix tbody th")
    await expect(rows).to_have_count(3)
    before = await rows.all_text_contents()
    more = [
        event("detail.finished", at=ago(seconds=0), recordId=RUNNING, detailId=f"more-{number}", remoteCluster=cluster)
        for number, cluster in enumerate((before[-1], "another"))
    ]
    await store.write(*({**one, "status": "FAILED"} for one in more))
    await expect(rows).to_have_text([*before, "another"])


async def test_a_task_whose_next_run_is_overdue_says_so(store: Store, visit: Open) -> None:
    for number in range(4, 10):
        times = {"started": ago(minutes=10 * number), "ended": ago(minutes=10 * number - 1)}
        await store.write(*run_of(f"r{number}", "t", **times, details=[detail(1)]))
    tab = await visit("task?key=t")
    await tab.shows("usually every 10 min")
    await tab.shows("overdue: the next run was expected 30 min ago")


async def test_a_prefix_narrows_all_of_now(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit("?prefix=team-a%2F")
    await expect(tab.main.locator(".tile-count")).to_have_text(["1", "0", "1", "0"])
    await tab.go("?prefix=team-b%2F")
    await expect(tab.main.locator(".tile-count")).to_have_text(["0", "1", "1", "1"])
    await tab.main.get_by_role("link", name="no news for 45 min").wait_for()


@pytest.mark.parametrize("entity_id", [".", ".."])
async def test_ids_that_browsers_take_for_folders(store: Store, visit: Open, entity_id: str) -> None:
    """All views of such a task and record: nothing is asked of another id."""
    details = [detail(number, "FAILED" if number % 2 else "SUCCESS") for number in range(4)]
    await store.write(*runs())
    await store.write(*run_of(entity_id, entity_id, started=ago(hours=1), ended=ago(minutes=1), details=details))
    tab = await visit("tasks")
    await tab.main.locator("td.c-task").get_by_text(entity_id, exact=True).click()
    await tab.main.locator("td.c-record").get_by_text(entity_id, exact=True).click()
    await tab.shows("2 failed")
    await tab.shows("final")
    await expect(tab.main.locator("tfoot td.number")).to_have_text("4")
    await tab.page.get_by_role("link", name="Failures").click()
    await tab.shows("dev answered <n>")
    await tab.page.get_by_role("link", name="Details").click()
    await expect(tab.main.locator("tbody tr")).to_have_count(4)
    await tab.go(f"compare?a={FAILED}&b={entity_id}")
    await tab.shows("These runs are of two tasks.")
