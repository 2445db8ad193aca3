"""The three questions by keyboard alone: what fails, has my artifact arrived, is it getting worse?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.async_api import expect

from tests.support.page_data import runs

if TYPE_CHECKING:
    from tests.browser.conftest import Open
    from tests.support.browser import Store, Visit

#: More steps than any of these ways takes.
MOST_STEPS = 80


async def reach(tab: Visit, name: str) -> None:
    """Tab to the element of that name, which has to be seen to have the focus; then press Enter."""
    focused = "[document.activeElement.getAttribute('aria-label'), document.activeElement.textContent].filter(Boolean)"
    for _ in range(MOST_STEPS):
        await tab.page.keyboard.press("Tab")
        if name in await tab.page.evaluate(focused):
            width = await tab.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert width != "none", name
            await tab.page.keyboard.press("Enter")
            return
    raise AssertionError(f"{name} is not reached by Tab")


async def test_what_fails_and_why(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit("")
    await tab.main.get_by_role("link", name="team-a/npm-sync").first.wait_for()
    await reach(tab, "Skip to the content")
    await reach(tab, "run-failed")
    await expect(tab.page.locator("h1")).to_be_focused()
    await tab.shows("final")
    await reach(tab, "Failures5")
    await tab.shows("dev answered")


async def test_whether_an_artifact_has_arrived(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit("task?key=team-a%2Fnpm-sync")
    await tab.main.get_by_role("link", name="run-failed").first.wait_for()
    await reach(tab, "Find an artifact")
    await tab.main.get_by_label("Name begins with").wait_for()
    while await tab.page.evaluate("document.activeElement.id") != "find-text":
        await tab.page.keyboard.press("Tab")
    await tab.page.keyboard.type("package-3")
    await tab.page.keyboard.press("Enter")
    await tab.main.locator("table a.found").first.wait_for()
    assert "find=package-3" in tab.page.url


async def test_whether_it_gets_worse(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit("task?key=team-a%2Fnpm-sync")
    await tab.main.get_by_role("link", name="run-failed").first.wait_for()
    await reach(tab, "Trend")
    await tab.shows("the dashed line is the median")
    await reach(tab, "As a table")
    await expect(tab.main.locator(".chart-table tbody tr")).to_have_count(2)
