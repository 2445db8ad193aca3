"""The address holds the state: reload, Back, pasted and copied URLs, and a proxy's prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.async_api import expect

from tests.support.browser import ago, run_of, visiting
from tests.support.page_data import FAILED, detail, runs
from tests.support.prefix_proxy import proxied

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.support.browser import Open, Store
    from tests.support.live import LiveService

DETAILS = f"record?id={FAILED}&tab=details"


async def test_a_filter_is_kept_over_a_reload_and_undone_by_back(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit(DETAILS)
    await expect(tab.main.locator("tbody tr")).to_have_count(20)
    await tab.page.get_by_role("searchbox", name="Cluster is").fill("dev")
    await tab.page.get_by_role("button", name="Apply").click()
    await expect(tab.main.locator("tbody tr")).to_have_count(7)
    assert "remoteCluster=dev" in tab.page.url
    await tab.page.reload()
    await expect(tab.main.locator("tbody tr")).to_have_count(7)
    await expect(tab.page.get_by_role("searchbox", name="Cluster is")).to_have_value("dev")
    await tab.page.go_back()
    await expect(tab.main.locator("tbody tr")).to_have_count(20)
    await expect(tab.page.get_by_role("searchbox", name="Cluster is")).to_have_value("")


async def test_a_filter_goes_to_the_first_page(store: Store, visit: Open) -> None:
    details = [detail(number) for number in range(120)]
    await store.write(*run_of("many", "t", started=ago(hours=1), ended=ago(minutes=1), details=details))
    tab = await visit("record?id=many&tab=details&page=3")
    await tab.shows("101–120 of 120")
    await tab.page.get_by_label("Status", exact=True).select_option("SUCCESS")
    await tab.shows("1–50 of 120")
    assert "page=" not in tab.page.url
    await tab.page.get_by_role("link", name="Next page").click()
    await tab.shows("51–100 of 120")
    await tab.page.go_back()
    await tab.shows("1–50 of 120")


async def test_past_the_end_and_no_match_are_two_texts_with_a_way_out(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit(f"{DETAILS}&page=7")
    await tab.shows("There are 1 pages, and this is number 7.")
    await tab.main.get_by_role("link", name="Go to the last page").click()
    await tab.shows("1–20 of 20")
    await tab.go(f"{DETAILS}&remoteCluster=nowhere&page=2")
    await tab.shows("Nothing matches these filters.")
    await tab.main.get_by_role("link", name="Clear the filters").click()
    await tab.shows("1–20 of 20")


async def test_it_works_behind_a_proxy_that_serves_it_under_a_prefix(
    store: Store, service: LiveService, chromium: Browser
) -> None:
    await store.write(*runs())
    with proxied(service.url, "/ops/replog") as url:
        async with visiting(chromium, url) as tab:
            await tab.page.goto(f"{url}/")
            await tab.page.wait_for_url(f"{url}/ui/")
            await tab.page.get_by_role("link", name="Tasks", exact=True).click()
            await tab.main.get_by_role("link", name="team-b/charts").click()
            await tab.page.wait_for_url(f"{url}/ui/task?key=*")
            await tab.shows("run-good")
