"""What changes by itself: rows that stay, the stream of a record, and how fresh all of it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.support.browser import ago, run_of, visiting
from tests.support.live import live
from tests.support.page_data import RUNNING, SILENT, detail, runs
from tests.support.query_service import event
from tests.support.services.process import free_port

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

    from tests.support.browser import Open, Store, Visit

#: Longer than a list waits for its next reading, in ms.
READ_AGAIN_MS = 15_000
#: What a browser says of a service that is not there.
AWAY = (
    "ERR_CONNECTION_REFUSED",
    "ERR_INCOMPLETE_CHUNKED_ENCODING",
    "ERR_CONNECTION_RESET",
    "ERR_EMPTY_RESPONSE",
    "503",
)


async def tasks_of(tab: Visit) -> list[str]:
    return [str(text) for text in await tab.main.locator("td.c-task").all_text_contents()]


async def test_rows_stay_where_they_are_until_the_user_wants_the_newer_ones(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit("tasks")
    await expect(tab.main.locator("td.c-task")).to_have_count(4)
    before = await tasks_of(tab)
    await store.write(*run_of("new", "team-c/new", started=ago(seconds=1), details=[detail(1)]))
    newer = tab.main.get_by_role("button", name="1 newer · show")
    await newer.wait_for(timeout=READ_AGAIN_MS)
    assert await tasks_of(tab) == before
    await newer.click()
    await expect(tab.main.locator("td.c-task")).to_have_count(5)
    assert (await tasks_of(tab))[0] == "team-c/new"


async def test_nothing_is_asked_while_the_focus_is_in_a_table_or_after_pause(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit("tasks")
    await tab.page.clock.install()
    await tab.go("tasks")
    await tab.main.locator("td.c-task a").first.focus()
    await expect(tab.page.get_by_text("stands still while you read")).to_be_visible()
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    await tab.page.clock.fast_forward(READ_AGAIN_MS)
    await expect(tab.page.locator("[data-freshness]")).to_be_visible()
    assert asked == []
    # On the way to the button the focus leaves the table: what is due is asked for.
    await tab.page.get_by_role("button", name="Pause").click()
    await expect(tab.page.get_by_role("button", name="Resume")).to_be_visible()
    asked.clear()
    await tab.page.clock.fast_forward(READ_AGAIN_MS)
    await expect(tab.page.locator("[data-freshness]")).to_be_visible()
    assert asked == []
    async with tab.page.expect_request("**/task/list?*"):
        await tab.page.get_by_role("button", name="Resume").click()


async def test_what_is_typed_stays_while_answers_come(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit(f"record?id={RUNNING}&tab=details")
    await expect(tab.main.locator("td.c-status")).to_have_count(10)
    field = tab.page.get_by_role("searchbox", name="Package begins with")
    await field.fill("npm://package-3")
    async with tab.page.expect_response("**/detail/page/*"):
        await store.write(
            event("detail.finished", at=ago(seconds=0), recordId=RUNNING, detailId="another", status="FAILED")
        )
    await tab.main.get_by_role("button", name="1 newer · show").wait_for()
    await expect(field).to_have_value("npm://package-3")
    await field.press("Enter")
    await expect(tab.main.locator("td.c-status")).to_have_count(1)
    await expect(field).to_be_focused()


async def test_what_is_unchanged_is_answered_with_304_and_is_fresh_all_the_same(store: Store, visit: Open) -> None:
    await store.write(*runs())
    await store.as_of(datetime.now(UTC))
    tab = await visit("tasks")
    await expect(tab.main.locator("td.c-task")).to_have_count(4)
    await store.as_of(datetime.now(UTC) + timedelta(seconds=5))
    async with tab.page.expect_response(lambda answer: "/task/list?" in answer.url and answer.status == 304):
        pass
    await expect(tab.page.locator("[data-freshness=fresh]")).to_be_visible()
    assert len(await tasks_of(tab)) == 4


@pytest.mark.parametrize(("behind_s", "state"), [(-60, "fresh"), (15, "late"), (90, "old"), (None, "unknown")])
async def test_how_fresh_it_is_is_always_seen(store: Store, visit: Open, behind_s: int | None, state: str) -> None:
    await store.write(*runs())
    if behind_s is not None:
        await store.as_of(datetime.now(UTC) - timedelta(seconds=behind_s))
    tab = await visit("tasks")
    await tab.page.locator(f"[data-freshness={state}]").wait_for()
    await expect(tab.page.locator(".banner")).to_have_count(int(state == "old"))
    if state != "unknown":
        assert await tab.inaccessible() == []


async def test_a_record_is_live_and_says_when_it_is_over(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit(f"record?id={RUNNING}")
    await tab.shows("8 ok")
    await tab.shows("of 40 expected")
    await tab.shows("from this run’s rate")
    at = ago(seconds=0)
    more = [
        event("detail.finished", at=at, recordId=RUNNING, detailId=f"more-{number}", status="FAILED")
        for number in range(3)
    ]
    await store.write(*more)
    await tab.shows("3 failed")
    await store.write(
        event(
            "record.finished",
            at=ago(seconds=-1),
            recordId=RUNNING,
            taskKey="team-a/docker",
            status="FAILED",
            errorReason="3 failed",
        )
    )
    await tab.main.locator(".facts .s-failed").wait_for()
    await tab.shows("final")
    # Screen readers hear what it is now.
    await expect(tab.page.get_by_role("status").filter(has_text="FAILED")).to_have_count(1)


async def test_a_record_whose_details_move_is_not_called_silent(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit(f"record?id={SILENT}")
    await tab.shows("no news for 45 min")
    await store.write(
        event(
            "detail.progressed", at=ago(seconds=1), recordId=SILENT, detailId=f"{SILENT}-8", progress={"totalSize": 1}
        )
    )
    await tab.page.reload()
    await tab.shows("record silent, details moving")


async def test_a_service_that_is_restarted_is_found_again(chromium: Browser, store: Store) -> None:
    await store.write(*runs())
    port = free_port()
    async with live(store.redis_url, store.prefix, port=port) as first:
        context = visiting(chromium, first.url, *AWAY)
        tab = await context.__aenter__()
        await tab.go(f"record?id={RUNNING}")
        await tab.shows("live")
    try:
        await tab.main.get_by_text("next attempt in").first.wait_for()
        # What was read stays.
        await tab.shows("8 ok")
        async with live(store.redis_url, store.prefix, port=port):
            await store.write(
                event("detail.finished", at=ago(seconds=0), recordId=RUNNING, detailId="late", status="FAILED")
            )
            await tab.shows("1 failed")
            await tab.shows("live")
            await context.__aexit__(None, None, None)
    except BaseException as error:
        await context.__aexit__(type(error), error, error.__traceback__)
        raise


async def test_rows_stay_while_the_service_asks_to_wait(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit("tasks", "429", "503")
    await expect(tab.main.locator("td.c-task")).to_have_count(4)
    busy = '{"code":250102,"message":"the store does not answer","data":null,"traceId":"t"}'

    async def refused(route: Route) -> None:
        await route.fulfill(status=503, headers={"Retry-After": "7", "Content-Type": "application/json"}, body=busy)

    await tab.page.route("**/task/list?*", refused)
    await tab.main.get_by_text("The service is busy: the store does not answer").wait_for()
    await tab.shows("Next attempt in")
    assert len(await tasks_of(tab)) == 4
    await tab.page.unroute("**/task/list?*")
    await tab.main.get_by_role("button", name="Try again now").click()
    await expect(tab.main.get_by_role("alert")).to_have_count(0)
