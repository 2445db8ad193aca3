"""The export of what matches: both formats, the filters, cells that a spreadsheet would run, and a cut."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from tests.support.api.tokens import ALL, TOKENS
from tests.support.browser import ago, run_of
from tests.support.live import live
from tests.support.page_data import FAILED, detail, runs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Download, Route

    from tests.support.browser import Open, Store, Visit
    from tests.support.live import LiveService

#: What a spreadsheet takes for a formula.
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1")


async def exported(tab: Visit, name: str) -> tuple[Download, str]:
    """The download that the button of that name starts, and its text."""
    async with tab.page.expect_download() as coming:
        await tab.main.get_by_role("button", name=name).click()
    download = await coming.value
    await tab.shows("Exported:")
    content = await asyncio.to_thread(Path(await download.path()).read_bytes)
    return download, content.decode()


def rows_of(text: str) -> list[dict[str, str]]:
    """The rows of a CSV file, which begins with a byte order mark."""
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


async def test_what_matches_the_filters_is_saved_in_both_formats(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit(f"record?id={FAILED}&tab=details&remoteCluster=dev&status=FAILED")
    # `dev2` has failed details, too.
    await expect(tab.main.locator("tbody tr")).to_have_count(2)
    shown = await tab.main.locator("tbody tr").evaluate_all("rows => rows.map(row => row.dataset.key)")
    download, text = await exported(tab, "Export CSV")
    assert download.suggested_filename == f"replog-{FAILED}.csv"
    assert [row["id"] for row in rows_of(text)] == shown
    download, text = await exported(tab, "Export NDJSON")
    assert download.suggested_filename == f"replog-{FAILED}.ndjson"
    *rows, end = [json.loads(line) for line in text.splitlines()]
    assert ([row["id"] for row in rows], end) == (shown, {"rows": 2})


async def test_more_than_one_page_is_exported(store: Store, visit: Open) -> None:
    many = [detail(number) for number in range(120)]
    await store.write(*run_of("many", "t", started=ago(hours=1), ended=ago(minutes=1), details=many))
    tab = await visit("record?id=many&tab=details&page=2")
    _, text = await exported(tab, "Export CSV")
    assert len(rows_of(text)) == 120


async def test_no_cell_is_a_formula(store: Store, visit: Open) -> None:
    hostile = [
        detail(number, "FAILED", detailId=text, repoName=text, remoteCluster=text, path=text, errorReason=text)
        for number, text in enumerate(FORMULAS)
    ]
    await store.write(*run_of("hostile", "t", started=ago(hours=1), ended=ago(minutes=1), details=hostile))
    tab = await visit("record?id=hostile&tab=details")
    _, text = await exported(tab, "Export CSV")
    rows = rows_of(text)
    assert {row["remoteCluster"] for row in rows} == {f"'{formula}" for formula in FORMULAS}
    assert not [cell for row in rows for cell in row.values() if cell[:1] in set("=+-@\t\r")]


@pytest.fixture
async def guarded(store: Store) -> AsyncIterator[LiveService]:
    """A service that wants a token."""
    await store.write(*runs())
    async with live(store.redis_url, store.prefix, api_tokens=TOKENS) as running:
        yield running


async def test_it_needs_the_token_like_everything_else(guarded: LiveService, visit: Open) -> None:
    tab = await visit(f"record?id={FAILED}&tab=details", "401", service=guarded)
    await tab.page.get_by_label("Token", exact=True).fill(ALL)
    await tab.page.get_by_role("button", name="Use it").click()
    await expect(tab.main.locator("tbody tr")).to_have_count(20)
    _, text = await exported(tab, "Export CSV")
    assert len(rows_of(text)) == 20


async def cut(route: Route) -> None:
    """All of the answer but its last line."""
    answer = await route.fetch()
    lines = (await answer.body()).splitlines(keepends=True)
    headers = {name: text for name, text in answer.headers.items() if name != "content-length"}
    await route.fulfill(status=200, headers=headers, body=b"".join(lines[:-1]))


async def test_a_cut_export_is_not_saved(store: Store, visit: Open) -> None:
    await store.write(*runs())
    tab = await visit(f"record?id={FAILED}&tab=details")
    saved: list[Any] = []
    tab.page.on("download", lambda download: saved.append(download))  # noqa: PLW0108 - Playwright marks the function
    await tab.page.route("**/detail/export/*", cut)
    await tab.main.get_by_role("button", name="Export NDJSON").click()
    await tab.shows("The export was cut off; try again.")
    assert saved == []
    await expect(tab.main.get_by_role("button", name="Export NDJSON")).to_be_enabled()


@pytest.mark.parametrize(("status", "said"), [(503, "The service is busy: all slots are taken"), (403, "Not allowed")])
async def test_a_refused_export_says_why(store: Store, visit: Open, status: int, said: str) -> None:
    await store.write(*runs())
    tab = await visit(f"record?id={FAILED}&tab=details", str(status))
    body = json.dumps({"code": 250102, "message": "all slots are taken", "data": None, "traceId": "abc"})

    async def refused(route: Route) -> None:
        await route.fulfill(status=status, headers={"Content-Type": "application/json"}, body=body)

    await tab.page.route("**/detail/export/*", refused)
    await tab.main.get_by_role("button", name="Export CSV").click()
    await tab.shows(said)
