"""The three questions by keyboard alone: what fails, has my artifact arrived, is it getting worse?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.async_api import expect

from tests.support.browser import run_of
from tests.support.page_data import detail, runs

if TYPE_CHECKING:
    from tests.support.browser import Open, Store, Visit

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


async def test_the_zone_is_chosen_and_the_menu_closed(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit("tasks", timezone_id="Asia/Shanghai")
    await tab.main.get_by_text("Started (UTC+8)").wait_for()
    await tab.page.locator("summary").first.press("Enter")
    await tab.page.get_by_label("Time zone").select_option("Asia/Tokyo")
    await tab.main.get_by_text("Started (UTC+9)").wait_for()
    await tab.page.keyboard.press("Escape")
    await expect(tab.page.get_by_label("Time zone")).to_be_hidden()
    await expect(tab.page.locator("summary").first).to_be_focused()


async def test_the_two_hours_of_one_name_are_told_apart_when_summer_time_ends(store: Store, visit: Open) -> None:
    # In Berlin, 02:30 comes twice in this night.
    for number, started in enumerate(("2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z")):
        ended = started.replace(":30:", ":40:")
        await store.write(*run_of(f"r{number}", "t", started=started, ended=ended, details=[detail(1)]))
    tab = await visit("task?key=t", timezone_id="Europe/Berlin")
    times = tab.main.locator("td.c-started time")
    await expect(times).to_have_count(2)
    shown = set(await times.all_text_contents())
    assert {text[:19] for text in shown} == {"2025-10-26 02:30:00"}
    assert len(shown) == 2
