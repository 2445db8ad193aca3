"""A task with many records: its pages, by status or not, at any depth."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from replog.statuses import STATUS_LETTERS
from replog.store.client.command import Command
from replog.store.client.scripts import TASK_PAGE
from replog.store.format.keys import task_keys
from replog.store.read.reader import Reader
from replog.store.write.writer import Writer
from tests.benchmarks.asking import ORDER, Clock, Times
from tests.benchmarks.redis_calls import CallRecorder
from tests.benchmarks.store_data import BATCH, batch_of, chunks, record_event, record_rows
from tests.benchmarks.store_questions import LIMIT
from tests.benchmarks.store_table import Line, Section

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from replog.store.client.connection import Connection
    from tests.benchmarks.stores import Stores

TASK = "big-task"
GOAL_MS = 1
_PAGES, _PLAIN_PAGES, _POSTGRES_PAGES = 500, 3, 100


class TaskPages:
    """The task's pages at random depth."""

    def __init__(self, connection: Connection, records: int) -> None:
        self._connection = connection
        self._records = records
        self._reader = Reader(connection)

    async def fill(self) -> None:
        """Write the records."""
        writer = Writer(self._connection)
        for chunk in chunks(record_rows(self._records), BATCH):
            await writer.merge(batch_of(record_event(TASK, row) for row in chunk))

    def totals(self) -> dict[str, int]:
        """Records by status, and of all under the empty one."""
        rows = list(record_rows(self._records))
        return {status: sum(row.status.startswith(status) for row in rows) for status in ("", "SUCCESS", "RUNNING")}

    async def ids(self, status: str, offset: int) -> int:
        """Read the page's ids; returns the total."""
        keys = task_keys(self._connection.prefix, TASK)[1:]
        letter = STATUS_LETTERS[status] if status else b""
        ((_, total, ids),) = await self._connection.run([Command(TASK_PAGE, keys, [offset, LIMIT, letter])])
        assert len(ids) == LIMIT
        return int(total)

    async def whole(self, status: str, offset: int) -> int:
        """Read the page; returns the total."""
        page = await self._reader.record_page(TASK, status, offset, LIMIT)
        assert page
        assert len(page.rows) == LIMIT
        return page.total


async def read(stores: Stores, records: int) -> tuple[Section, CallRecorder]:
    """Fill and ask."""
    pages, lines = TaskPages(stores.ours, records), list[Line]()
    stores.plain.add_records(record_rows(records))
    with CallRecorder(stores.url) as recorder:
        await pages.fill()
        for status, total in pages.totals().items():
            ids = await _timed(pages.ids, status, total, _PAGES, stores.pid)
            whole = await _timed(pages.whole, status, total, _PAGES, stores.pid)
            shown = status or "no status"
            others = _others(stores, status, total)
            goal = f"{GOAL_MS:.2f}"
            lines += [
                Line(f"ids, {shown} ({total:,})", str(ids), goal, met=ids.p99 <= GOAL_MS),
                Line(f"whole page, {shown}", str(whole), plain=await others[0], postgres=await others[1]),
            ]
    title = f"6. Pages of 20 records of a task with {records:,}, {ORDER}"
    return Section(title, lines), recorder


def _others(stores: Stores, status: str, total: int) -> tuple[Awaitable[str], Awaitable[str]]:
    plain, postgres = stores.plain, stores.postgres

    async def asked_plain(status: str, offset: int) -> int:
        return plain.record_page(status, offset)

    async def asked_postgres(status: str, offset: int) -> int:
        return postgres.record_page(TASK, status, offset) if postgres else total

    return (
        _shown(asked_plain, status, total, _PLAIN_PAGES, plain.pid),
        _shown(asked_postgres, status, total, _POSTGRES_PAGES, postgres.pid if postgres else 0),
    )


async def _shown(page: Callable[[str, int], Awaitable[int]], status: str, total: int, count: int, pid: int) -> str:
    return str(await _timed(page, status, total, count, pid)) if pid else ""


async def _timed(page: Callable[[str, int], Awaitable[int]], status: str, total: int, count: int, pid: int) -> Times:
    rng, clock = Random(f"{status}/{total}"), Clock(pid)
    for _ in range(count):
        offset = rng.randrange(total - LIMIT + 1)
        clock.start()
        found = await page(status, offset)
        clock.stop()
        assert found == total, (status, offset, found)
    return clock.times
