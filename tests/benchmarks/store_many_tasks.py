"""Many tasks with a record each: pages in order of activity, by status and prefix, and the latest records of some."""

from __future__ import annotations

import time
from random import Random

from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from replog.store.read.silent_records import silent_records
from replog.store.read.tasks.task_pages import Tasks
from replog.store.read.tasks.task_runs import task_runs
from replog.store.write.writer import Writer
from tests.benchmarks.asking import ORDER, Clock, Times
from tests.benchmarks.redis_calls import CallRecorder
from tests.benchmarks.store_data import BATCH, batch_of, chunks, record_event, record_rows
from tests.benchmarks.store_questions import LIMIT
from tests.benchmarks.store_table import Line, Section

_PREFIX = "bench-tasks"
_TEAMS, _PAGES, _KEYS = 97, 50, 200
#: Tasks of one page, and the runs that are shown of each.
_STRIPS, _LAST = 50, 20
#: Goals of medians: of pages and latest records, and of what dashboards ask for.
PAGE_GOAL_MS, GOAL_MS = 5, 50
#: What is asked, in words; the prefix, the status, and whether the first page or any.
_QUESTIONS = (
    ("first page", "", "", True),
    ("any page", "", "", False),
    ("any page, SUCCESS", "", "SUCCESS", False),
    ("first page, one team of 97", "team-7/", "", True),
    ("any page, one team of 97", "team-7/", "", False),
    ("first page, all teams by prefix", "team-", "", True),
    ("any page, all teams by prefix", "team-", "", False),
)


async def read(redis_url: str, pid: int, tasks: int) -> tuple[Section, CallRecorder]:
    """Fill and ask; ``pid`` is the process of Redis."""
    settings = StoreSettings(redis_url=redis_url, redis_prefix=_PREFIX)
    keys = [f"team-{number % _TEAMS}/task-{number:08}" for number in range(tasks)]
    async with Connection(settings, timeout_s=60) as connection:
        with CallRecorder(redis_url) as recorder:
            writer = Writer(connection)
            for chunk in chunks(zip(keys, record_rows(tasks), strict=True), BATCH):
                await writer.merge(batch_of(record_event(key, row) for key, row in chunk))
            asked, lines = Tasks(connection), list[Line]()
            for what, prefix, status, first in _QUESTIONS:
                total, times = await _pages(asked, prefix, status, pid, first=first)
                lines.append(_line(f"{what} ({total:,})", times, PAGE_GOAL_MS))
            lines.append(_line(f"latest records of {_KEYS}", await _latest(asked, keys, pid), PAGE_GOAL_MS))
            runs = await _runs(connection, keys, pid)
            lines.append(_line(f"newest {_LAST} runs of {_STRIPS}", runs, GOAL_MS))
            running = sum(row.status == "RUNNING" for row in record_rows(tasks))
            silent = await _silent(connection, running, pid)
            lines.append(_line(f"first page of silent records ({running:,})", silent, GOAL_MS))
    return Section(f"7. Pages of {LIMIT} tasks of {tasks:,}, {ORDER}", lines), recorder


def _line(what: str, times: Times, goal_ms: int) -> Line:
    return Line(what, str(times), str(goal_ms), met=times.p50 <= goal_ms)


async def _pages(tasks: Tasks, prefix: str, status: str, pid: int, *, first: bool) -> tuple[int, Times]:
    total = (await tasks.page(prefix, status, 0, 1)).total
    rng, clock = Random(f"{prefix}/{status}"), Clock(pid)
    for _ in range(_PAGES):
        offset = 0 if first else rng.randrange(total - LIMIT + 1)
        clock.start()
        page = await tasks.page(prefix, status, offset, LIMIT)
        clock.stop()
        assert (page.total, len(page.rows)) == (total, LIMIT), (prefix, status, offset)
    return total, clock.times


async def _runs(connection: Connection, keys: list[str], pid: int) -> Times:
    rng, clock = Random(len(keys)), Clock(pid)
    for _ in range(_PAGES):
        some = rng.sample(keys, _STRIPS)
        clock.start()
        found, _pulse = await task_runs(connection, some, _LAST)
        clock.stop()
        assert all(task.runs for task in found.data)
    return clock.times


async def _silent(connection: Connection, running: int, pid: int) -> Times:
    clock = Clock(pid)
    for _ in range(_PAGES):
        clock.start()
        found = await silent_records(
            connection, now_ms=time.time_ns() // 1_000_000, silent_for_s=900, offset=0, limit=LIMIT
        )
        clock.stop()
        assert (found.data.total, len(found.data.rows)) == (running, LIMIT)
    return clock.times


async def _latest(tasks: Tasks, keys: list[str], pid: int) -> Times:
    rng, clock = Random(len(keys)), Clock(pid)
    for _ in range(_PAGES):
        some = rng.sample(keys, _KEYS)
        clock.start()
        found = await tasks.latest(some)
        clock.stop()
        assert all(task.record for task in found.rows)
    return clock.times
