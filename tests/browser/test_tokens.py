"""Tokens: asked for once, kept as the user wants, and what they may not read said in the API's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.support.api.tokens import ALL, MINE, STRANGE, TOKENS
from tests.support.browser import ago, run_of
from tests.support.live import live
from tests.support.page_data import detail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.browser import Open, Store, Visit
    from tests.support.live import LiveService

REFUSED = ("401", "403")


@pytest.fixture
async def guarded(store: Store) -> AsyncIterator[LiveService]:
    """A service that wants a token, with a run that each may read and one that is not for all."""
    for key in ("mine/task", "other/task"):
        await store.write(
            *run_of(f"run-of-{key[:4]}", key, started=ago(hours=1), ended=ago(minutes=1), details=[detail(1)])
        )
    async with live(store.redis_url, store.prefix, api_tokens=TOKENS) as running:
        yield running


async def give(tab: Visit, token: str, *, keep: bool = False) -> None:
    await tab.page.get_by_label("Token", exact=True).fill(token)
    await tab.page.get_by_role("checkbox").set_checked(keep)
    await tab.page.get_by_role("button", name="Use it").click()


async def test_a_token_is_asked_for_and_the_address_stays(guarded: LiveService, visit: Open) -> None:
    tab = await visit("tasks?prefix=mine", *REFUSED, service=guarded)
    dialog = tab.page.get_by_role("dialog", name="A token is needed")
    await dialog.wait_for()
    assert await tab.inaccessible() == []
    await give(tab, STRANGE)
    await dialog.wait_for()
    await give(tab, ALL)
    await tab.main.get_by_role("link", name="mine/task").wait_for()
    await expect(dialog).to_be_hidden()
    assert tab.page.url.endswith("/ui/tasks?prefix=mine")


async def test_it_is_kept_over_a_reload_only_where_the_user_wants_that(guarded: LiveService, visit: Open) -> None:
    tab = await visit("tasks", *REFUSED, service=guarded)
    await give(tab, ALL, keep=True)
    await tab.main.get_by_role("link", name="mine/task").wait_for()
    await tab.page.reload()
    await tab.main.get_by_role("link", name="mine/task").wait_for()
    await tab.page.get_by_text("UTC").first.click()
    await tab.page.get_by_role("button", name="Forget the token").click()
    await give(tab, ALL)
    await tab.main.get_by_role("link", name="mine/task").wait_for()
    await tab.page.reload()
    await tab.page.get_by_role("dialog").wait_for()


async def test_what_a_token_may_not_read_is_said_in_the_apis_words(guarded: LiveService, visit: Open) -> None:
    tab = await visit("record?id=run-of-othe", *REFUSED, service=guarded)
    await give(tab, MINE)
    await tab.shows("Not allowed")
    await tab.main.get_by_role("button", name="Use another token").first.click()
    await give(tab, ALL)
    await tab.shows("other/task")


async def test_a_token_never_stands_in_an_address_or_in_local_storage(guarded: LiveService, visit: Open) -> None:
    tab = await visit("record?id=run-of-mine", *REFUSED, service=guarded)
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    await give(tab, ALL)
    await tab.shows("mine/task")
    assert asked
    assert not [url for url in asked if ALL in url]
    assert ALL not in await tab.page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
