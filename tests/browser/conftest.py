"""What the tests of the web page share: a browser a module, and for each test a store, a service on it, and tabs."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.browser import VARIABLE, Open, Store, Visit, browser_binary, launched, visiting
from tests.support.live import LiveService, live
from tests.support.services import ServiceUnavailableError
from tests.support.services.report import REPORT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser


@pytest.fixture(scope="module")
async def chromium(pytestconfig: pytest.Config) -> AsyncIterator[Browser]:
    """The browser."""
    choice = os.environ.get(VARIABLE)
    try:
        binary = browser_binary(choice)
    except ServiceUnavailableError as why:
        if choice:
            raise
        pytestconfig.stash[REPORT].miss_browser(str(why))
        pytest.skip(f"no browser: {why}")
    async with launched(binary) as browser:
        pytestconfig.stash[REPORT].use_browser(browser.version)
        yield browser


@pytest.fixture
def store(redis_url: str, redis_prefix: str) -> Store:
    """An empty store."""
    return Store(redis_url, redis_prefix)


@pytest.fixture
async def service(store: Store) -> AsyncIterator[LiveService]:
    """A query service that listens, over that store."""
    async with live(store.redis_url, store.prefix) as running:
        yield running


@pytest.fixture
async def visit(chromium: Browser, service: LiveService) -> AsyncIterator[Open]:
    """Tabs on that service, or on another; with the test, nothing may have been wrong in any of them."""
    async with AsyncExitStack() as tabs:

        async def opened(path: str, *expected: str, service: LiveService | None = service, **context: Any) -> Visit:
            assert service
            tab = await tabs.enter_async_context(visiting(chromium, service.url, *expected, **context))
            await tab.go(path)
            return tab

        yield opened
