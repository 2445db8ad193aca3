"""Every view in both languages and themes: accessible, quiet in the console, nothing blocked or from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.page_data import EARLIER, FAILED, RUNNING, SILENT, runs

if TYPE_CHECKING:
    from tests.support.browser import Open, Store

VIEWS = {
    "now": "",
    "tasks": "tasks",
    "tasks that match nothing": "tasks?prefix=nowhere",
    "task": "task?key=team-a%2Fnpm-sync",
    "trend": "task?key=team-a%2Fnpm-sync&tab=trend",
    "find": "task?key=team-a%2Fnpm-sync&tab=find&find=npm%3A%2F%2F",
    "record": f"record?id={FAILED}",
    "running": f"record?id={RUNNING}",
    "silent": f"record?id={SILENT}",
    "failures": f"record?id={FAILED}&tab=failures",
    "details": f"record?id={FAILED}&tab=details&open={FAILED}-0",
    "past the end": f"record?id={FAILED}&tab=details&page=9",
    "compare": f"compare?a={EARLIER}&b={FAILED}",
    "compare nothing": "compare",
}
LOOKS = {"en light": ("en-US", "light"), "zh dark": ("zh-CN", "dark")}
TITLES = {"en-US": ("Now", "Tasks"), "zh-CN": ("当前", "任务")}
WIDTHS = (1440, 380, 320)


@pytest.mark.parametrize("look", LOOKS)
async def test_every_view_is_accessible(store: Store, visit: Open, look: str) -> None:
    language, theme = LOOKS[look]
    await store.write(*runs())
    tab = await visit("", locale=language, color_scheme=theme, reduced_motion="reduce")
    found = {}
    for name, path in VIEWS.items():
        await tab.go(path)
        await tab.settled()
        found[name] = await tab.inaccessible()
    assert {name: problems for name, problems in found.items() if problems} == {}


@pytest.mark.parametrize("language", TITLES)
async def test_the_language_is_the_browsers_until_the_user_chooses(visit: Open, language: str) -> None:
    tab = await visit("", locale=language)
    now, tasks = TITLES[language]
    await tab.main.get_by_role("heading", name=now, exact=True).wait_for()
    other = next(locale for locale in TITLES if locale != language)
    await tab.page.get_by_role("button", name="中文" if language == "en-US" else "English").click()
    await tab.main.get_by_role("heading", name=TITLES[other][0], exact=True).wait_for()
    assert (await tab.page.get_attribute("html", "lang") or "").startswith(other[:2])
    await tab.page.reload()
    await tab.main.get_by_role("heading", name=TITLES[other][0], exact=True).wait_for()
    assert await tab.main.get_by_role("heading", name=now, exact=True).count() == 0
    assert tasks not in await tab.page.title()


@pytest.mark.parametrize("width", WIDTHS)
async def test_nothing_but_tables_is_wider_than_the_window(store: Store, visit: Open, width: int) -> None:
    await store.write(*runs())
    tab = await visit("", viewport={"width": width, "height": 800})
    for name, path in VIEWS.items():
        await tab.go(path)
        await tab.settled()
        wide = await tab.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, name


async def test_a_view_of_nothing_says_so(visit: Open) -> None:
    tab = await visit("tasks")
    await tab.shows("No task is known yet.")
    await tab.go("record?id=nowhere")
    await tab.shows("This record is not known")
    tab.faults = [fault for fault in tab.faults if "stream/nowhere" not in fault]
    await tab.go("task?key=nowhere")
    await tab.shows("No run of this task is known.")
