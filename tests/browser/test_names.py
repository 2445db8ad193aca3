"""Names that are no harmless text, and numbers that are no double."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.async_api import expect

from tests.support.browser import ago, run_of
from tests.support.page_data import FAILED, detail, runs

if TYPE_CHECKING:
    from tests.support.browser import Open, Store

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
#: Right-to-left text, with a character that turns the direction of what follows.
RIGHT_TO_LEFT = "משימה-\u202eevil"
LONG = "x" * 100 + "/" + "y" * 27
AWKWARD = (SCRIPT, RIGHT_TO_LEFT, LONG, "with/slash and%2Fescape?&#", "..a", "日志-😀")
HUGE = 2**62


async def test_awkward_names_are_shown_as_they_are_and_lead_where_they_should(store: Store, visit: Open) -> None:
    for number, name in enumerate(AWKWARD):
        odd = detail(
            number,
            "FAILED",
            detailId="odd",
            remoteCluster=name,
            repoName=name,
            packageKey=f"npm://{name}",
            errorReason=name,
        )
        await store.write(*run_of(name, name, started=ago(hours=1), ended=ago(minutes=1), details=[odd]))
    tab = await visit("tasks")
    for name in AWKWARD:
        await tab.go("tasks")
        # The whole name is the text, or the title where that is shortened.
        shown = tab.main.locator("td.c-task bdi").filter(has_text=name[:20]).first
        await expect(shown).to_be_visible()
        assert name in (await shown.text_content(), await shown.get_attribute("title"))
        await shown.click()
        await tab.page.wait_for_url("**/ui/task?key=*")
        await tab.main.locator("td.c-record a").first.click()
        await tab.page.wait_for_url("**/ui/record?id=*")
        # The one number of the matrix leads to the one detail.
        await tab.main.locator("tbody td a.tally").first.click()
        await expect(tab.main.locator("tbody tr")).to_have_count(1)
        assert await tab.page.evaluate("new URLSearchParams(location.search).get('remoteCluster')") == name
    assert await tab.page.evaluate("document.querySelectorAll('main script, main img').length") == 0


async def test_sums_beyond_2_to_53_are_exact(store: Store, visit: Open) -> None:
    details = [detail(number, progress={"totalSize": HUGE + number}) for number in range(2)]
    await store.write(*run_of("huge", "t", started=ago(hours=1), ended=ago(minutes=1), details=details))
    tab = await visit("record?id=huge")
    size = tab.main.locator(".sums [title]")
    await expect(size).to_have_attribute("title", f"{2 * HUGE + 1:,} B")
    await tab.page.get_by_role("link", name="Details").click()
    await tab.main.get_by_role("button", name="Show everything about this detail").first.click()
    await tab.shows(f"{HUGE + 1:,} B")


async def test_the_matrix_sums_to_the_overview_and_to_the_totals_of_the_details(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit(f"record?id={FAILED}")
    rows = tab.main.locator("table.matrix tbody tr")
    await expect(rows).to_have_count(3)
    totals = [int(text) for text in await rows.locator("td.number").all_text_contents()]
    foot = tab.main.locator("table.matrix tfoot td.number")
    await expect(foot).to_have_text(str(sum(totals)))
    await expect(tab.main.locator(".sums")).to_contain_text("15 ok")
    await expect(tab.main.locator(".sums")).to_contain_text("5 failed")
    await expect(tab.main.locator("nav.tabs")).to_contain_text(str(sum(totals)))
    for name, total in zip(await rows.locator("th").all_text_contents(), totals, strict=True):
        # `dev` is not `dev2`.
        await tab.go(f"record?id={FAILED}&tab=details&remoteCluster={name}")
        await expect(tab.main.locator("tbody tr")).to_have_count(total)
