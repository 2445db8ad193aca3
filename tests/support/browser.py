"""The web page in a real browser: the system's Chromium, by `REPLOG_TEST_BROWSER`, and pages whose every fault counts.

The variable is the path or name of a Chromium; one that is named and missing is an error. Unset: one on PATH, and
without any the tests of the page are left out, which the run's report says.
"""

from __future__ import annotations

import os
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgpack
from playwright.async_api import async_playwright, expect

from replog.store.client.command import Command
from replog.store.format.keys import BUCKETS, BucketKeys
from tests.support.administered import AdministeredConnection
from tests.support.query_service import write
from tests.support.services import ServiceUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request

    from tests.support.live import LiveService
    from tests.support.streams import Event

#: The variable that chooses the browser, and what it is looked for by where nothing is chosen.
VARIABLE = "REPLOG_TEST_BROWSER"
NAMES = ("chromium", "chromium-browser", "google-chrome")
#: How long the page may take to show something, in ms.
TIMEOUT_MS = 60_000
#: Rules of axe that hold for a whole site, or are about taste.
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

#: On a machine with much else to do Redis may take too long, and the page asks again: no fault of either.
_BUSY = "status of 503"
_NOTE_VIOLATIONS = """
  window.violations = [];
  document.addEventListener("securitypolicyviolation",
    (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


def browser_binary(choice: str | None) -> Path:
    """The browser that ``choice`` names, or the first on PATH.

    Raises:
        ServiceUnavailableError: there is none, or not the one that was named.
    """
    found = next(filter(None, map(shutil.which, [choice] if choice else NAMES)), None)
    if found is None:
        missing = f"{VARIABLE}={choice}: there is no such program" if choice else f"none of {', '.join(NAMES)} on PATH"
        raise ServiceUnavailableError(missing)
    return Path(found)


@asynccontextmanager
async def launched(binary: Path) -> AsyncIterator[Browser]:
    """A running browser; closed at the end."""
    # Chromium has no sandbox for root, as whom containers run tests.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=binary, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Visit:
    """One browser tab on the page of a service; leaving it requires that nothing was wrong that was not expected."""

    page: Page
    base: str
    faults: list[str] = field(default_factory=list)
    #: Parts of what may be said in the console, for tests that let requests fail.
    expected: tuple[str, ...] = ()

    def watch(self) -> None:
        """Note errors in the console, exceptions, and requests to anywhere else."""
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.faults.append(f"exception: {error}"))
        self.page.on("request", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in (*self.expected, _BUSY)):
            self.faults.append(f"console: {message.text} {message.location.get('url', '')}")

    def _see(self, request: Request) -> None:
        if not request.url.startswith((self.base, "blob:", "data:")):
            self.faults.append(f"off-origin: {request.url}")

    async def go(self, path: str) -> None:
        """Open a path below ``/ui/``, as pasted into the address bar."""
        await self.page.goto(f"{self.base}/ui/{path}")
        await self.page.locator("h1").wait_for()

    @property
    def main(self) -> Locator:
        """The content beside the head."""
        return self.page.locator("main")

    async def shows(self, text: str) -> None:
        """Return once the content has ``text``."""
        await self.main.get_by_text(text).first.wait_for()

    async def settled(self) -> None:
        """Return once nothing says any more that it is being read."""
        await self.page.locator("h1").wait_for()
        await expect(self.page.locator("[aria-busy=true]")).to_have_count(0)

    async def violations(self) -> list[str]:
        """What the content security policy has blocked."""
        return list(await self.page.evaluate("window.violations ?? []"))

    async def inaccessible(self) -> list[str]:
        """What axe finds, as ``rule: elements``."""
        if await self.page.evaluate("!window.axe"):
            await self.page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text("utf-8"))
        options = {"runOnly": AXE_TAGS, "resultTypes": ["violations"]}
        found = await self.page.evaluate("options => axe.run(document, options)", options)
        return [f"{rule['id']}: {[node['target'] for node in rule['nodes']]}" for rule in found["violations"]]


class Open(Protocol):
    """Opens tabs, which are closed with the test."""

    async def __call__(self, path: str, *expected: str, service: LiveService | None = None, **context: Any) -> Visit:
        """A tab on ``path`` below ``/ui/``; ``expected`` may be said in its console."""


@asynccontextmanager
async def visiting(browser: Browser, url: str, *expected: str, **context: Any) -> AsyncIterator[Visit]:
    """A tab in a context of its own, for what is served at ``url``; ``expected`` may be said in its console."""
    own = await browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **context})
    own.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    await own.add_init_script(_NOTE_VIOLATIONS)
    visit = Visit(await own.new_page(), url, expected=expected)
    visit.watch()
    try:
        yield visit
        blocked = await visit.violations()
        # Not rewritten by pytest, an assertion here says nothing by itself.
        faults = [*visit.faults, *blocked]
        assert not faults, faults
    finally:
        await own.close()


@dataclass(frozen=True)
class Store:
    """What the page shows: events of this test, written as a collector does."""

    redis_url: str
    prefix: str

    async def write(self, *events: Event) -> None:
        """Store ``events`` beside what is there."""
        await write(self.redis_url, self.prefix, events)

    async def as_of(self, moment: datetime) -> None:
        """Say up to when everything is stored."""
        ms = int(moment.timestamp() * 1000)
        async with AdministeredConnection(self.redis_url, self.prefix) as connection:
            keys = [BucketKeys(self.prefix, number).as_of for number in range(BUCKETS)]
            await connection.run([Command("HSET", [key], ["g:t", msgpack.packb([ms, [ms]])]) for key in keys])


def ago(**how_long: float) -> str:
    """A time of an event, that long before now."""
    moment = datetime.now(UTC) - timedelta(**how_long)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def run_of(
    record_id: str, task_key: str, *, started: str, details: list[Event], ended: str | None = None, **facts: Any
) -> list[Event]:
    """The events of one record with ``details`` (facts of each, with their ``status``)."""
    ids = {"recordId": record_id}
    events = [{"type": "record.started", **ids, "taskKey": task_key, "eventTime": started, **facts}]
    for number, detail in enumerate(details):
        kind = "detail.started" if detail["status"] == "RUNNING" else "detail.finished"
        given = {name: value for name, value in detail.items() if (name, value) != ("status", "RUNNING")}
        events.append({"type": kind, **ids, "detailId": f"{record_id}-{number}", "eventTime": started, **given})
    if ended:
        failed = sum(detail["status"] == "FAILED" for detail in details)
        end: Event = {"status": "FAILED", "errorReason": f"{failed} failed"} if failed else {"status": "SUCCESS"}
        events.append({"type": "record.finished", **ids, "taskKey": task_key, "eventTime": ended, **end})
    return events
