"""Every view in both languages and themes: accessible, quiet in the console, nothing blocked or from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

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
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
TITLES = {"en-US": ("Now", "Tasks"), "zh-CN": ("当前", "任务")}
WIDTHS = (1440, 380, 320)
#: By how much the page is wider than the window.
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
#: Texts and shapes of which nothing differs from what is behind them.
INVISIBLE = """
() => {
  const painted = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if (!/^rgba\\(.*, 0\\)$|^transparent$/.test(backgroundColor)) return backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  const seen = [...document.querySelectorAll("main *, header *")].filter((one) => one.getClientRects().length);
  const texts = seen.filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
    .filter((one) => getComputedStyle(one).color === painted(one));
  const shapes = seen.filter((one) => one.matches("svg.icon path, svg.icon circle"))
    .filter((one) => {
      const { fill, stroke } = getComputedStyle(one);
      const ground = painted(one.closest("svg").parentElement);
      return [fill, stroke].every((colour) => colour === "none" || colour === ground);
    });
  return [...texts, ...shapes].map((one) => one.outerHTML.slice(0, 120));
}
"""


@pytest.mark.parametrize("language", TITLES)
async def test_every_view_is_accessible_in_both_themes(store: Store, visit: Open, language: str) -> None:
    await store.write(*runs())
    tab = await visit("", locale=language, reduced_motion="reduce")
    found = {}
    for name, path in VIEWS.items():
        await tab.go(path)
        await tab.settled()
        for theme in THEMES:
            await tab.page.emulate_media(color_scheme=theme)
            found[name, theme] = await tab.inaccessible()
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


async def test_every_view_can_be_read_in_forced_colours(store: Store, visit: Open) -> None:
    """As with a high-contrast theme of Windows: no text or shape vanishes in the ground, bars are told apart."""
    await store.write(*runs())
    tab = await visit("", forced_colors="active")
    invisible = {}
    for name, path in VIEWS.items():
        await tab.go(path)
        await tab.settled()
        invisible[name] = await tab.page.evaluate(INVISIBLE)
    assert {name: found for name, found in invisible.items() if found} == {}
    await tab.go(VIEWS["running"])
    await tab.settled()
    fills = await tab.main.locator(".progress.wide rect").evaluate_all(
        "parts => parts.map(p => getComputedStyle(p).fill)"
    )
    assert len(fills) == len(set(fills)) > 2


async def test_every_view_can_be_used_at_200_per_cent(store: Store, visit: Open) -> None:
    """A window of 1280 x 800 that is zoomed so has 640 x 400 CSS pixels of two device pixels each."""
    await store.write(*runs())
    tab = await visit("", viewport={"width": 640, "height": 400}, device_scale_factor=2)
    for name, path in VIEWS.items():
        await tab.go(path)
        await tab.settled()
        assert await tab.page.evaluate(WIDER) <= 0, name


@pytest.mark.parametrize("width", WIDTHS)
async def test_nothing_but_tables_is_wider_than_the_window(store: Store, visit: Open, width: int) -> None:
    await store.write(*runs())
    tab = await visit("", viewport={"width": width, "height": 800})
    for name, path in VIEWS.items():
        await tab.go(path)
        await tab.settled()
        assert await tab.page.evaluate(WIDER) <= 0, name


async def test_a_view_of_nothing_says_so(visit: Open) -> None:
    tab = await visit("tasks")
    await tab.shows("No task is known yet.")
    await tab.go("record?id=nowhere")
    await tab.shows("This record is not known")
    tab.faults = [fault for fault in tab.faults if "stream/nowhere" not in fault]
    await tab.go("task?key=nowhere")
    await tab.shows("No run of this task is known.")
