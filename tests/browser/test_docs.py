"""The API explorer: it loads under its policy from this service alone, and an operation can be tried."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.api.tokens import ALL, TOKENS
from tests.support.browser import Visit, ago, run_of, visiting
from tests.support.live import LiveService, live
from tests.support.prefix_proxy import proxied

if TYPE_CHECKING:
    from playwright.async_api import Browser, Locator

    from tests.support.browser import Store

PREFIX = "/ops/replog"


async def opened(tab: Visit) -> Locator:
    """The operation that lists tasks, unfolded."""
    await tab.page.goto(f"{tab.base}/docs")
    operation = tab.page.locator(".opblock", has=tab.page.locator('[data-path="/replication/api/task/list"]'))
    await operation.locator(".opblock-summary-control").click()
    await operation.get_by_role("button", name="Execute").wait_for()
    return operation


async def tried(operation: Locator) -> tuple[str, str]:
    """The status and the body that the operation is answered with."""
    await operation.get_by_role("button", name="Execute").click()
    live_response = operation.locator(".live-responses-table .response")
    await live_response.wait_for()
    status = await live_response.locator(".response-col_status").inner_text()
    body = await live_response.locator(".highlight-code").first.inner_text()
    return status.split()[0], body


async def asked(operation: Locator) -> str:
    """The URL of the request, as the explorer shows it."""
    return (await operation.locator(".request-url").inner_text()).split()[-1]


async def write_run(store: Store) -> None:
    """One record of the task ``t``."""
    await store.write(*run_of("r", "t", started=ago(hours=1), ended=ago(minutes=1), details=[]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_operation_is_shown_and_one_can_be_tried(
    store: Store, service: LiveService, chromium: Browser, scheme: str
) -> None:
    await write_run(store)
    async with visiting(chromium, service.url, color_scheme=scheme) as tab:
        operation = await opened(tab)
        status, body = await tried(operation)
        assert status == "200"
        assert '"taskKey": "t"' in body
        # The required parameters, with their examples; no optional one.
        assert await asked(operation) == f"{service.url}/replication/api/task/list?pageNumber=1&pageSize=1"
        answer = await tab.page.request.get(f"{service.url}/openapi.json")
        documented = {path for path, item in json.loads(await answer.text())["paths"].items() if "get" in item}
        shown = await tab.page.locator(".opblock-summary-path").evaluate_all(
            "paths => paths.map(path => path.dataset.path)"
        )
        assert set(shown) == documented
        assert await tab.page.evaluate("document.documentElement.classList.contains('dark-mode')") == (scheme == "dark")


async def test_it_works_behind_a_proxy_that_serves_it_under_a_prefix(
    store: Store, service: LiveService, chromium: Browser
) -> None:
    await write_run(store)
    with proxied(service.url, PREFIX) as url:
        async with visiting(chromium, url) as tab:
            operation = await opened(tab)
            assert (await tried(operation))[0] == "200"
            assert await asked(operation) == f"{url}/replication/api/task/list?pageNumber=1&pageSize=1"
            await tab.page.goto(f"{url}/docs/")
            await tab.page.wait_for_url(f"{url}/docs")


async def test_a_token_can_be_set(store: Store, chromium: Browser) -> None:
    """The shell needs none."""
    await write_run(store)
    async with (
        live(store.redis_url, store.prefix, api_tokens=TOKENS) as service,
        visiting(chromium, service.url, "status of 401") as tab,
    ):
        operation = await opened(tab)
        assert (await tried(operation))[0] == "401"
        await tab.page.get_by_role("button", name="Authorize").first.click()
        dialog = tab.page.locator(".dialog-ux")
        await dialog.locator("input").fill(ALL)
        await dialog.get_by_role("button", name="Apply credentials").click()
        await dialog.get_by_role("button", name="Close").click()
        await operation.get_by_role("button", name="Clear").click()
        assert (await tried(operation))[0] == "200"


async def test_a_document_that_cannot_be_read_is_said(service: LiveService, chromium: Browser) -> None:
    async with visiting(chromium, service.url, "status of 502") as tab:
        await tab.page.route("**/openapi.json", lambda route: route.fulfill(status=502))
        await tab.page.goto(f"{service.url}/docs")
        await tab.shows("The API's document cannot be read. openapi.json: 502")
