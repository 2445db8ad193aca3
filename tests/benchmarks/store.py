"""The store at size: pages, totals, filters, lists, memory and new details, with the goal beside each figure."""

from __future__ import annotations

import gc
import os
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import uvloop

from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from replog_collector.main import GC_THRESHOLD
from tests.benchmarks import (
    store_bytes,
    store_list,
    store_many_tasks,
    store_reads,
    store_removal,
    store_summaries,
    store_tasks,
    store_writes,
)
from tests.benchmarks.machine import description, memory
from tests.benchmarks.plain_store import PlainStore
from tests.benchmarks.redis_calls import CallRecorder
from tests.benchmarks.servers import alone, pid_of, settle, start_redis
from tests.benchmarks.store_data import Known, Shape, WholeKnown, WholeShape, record_rows
from tests.benchmarks.store_questions import questions
from tests.benchmarks.store_table import Line, Section, markdown, table_of
from tests.benchmarks.stores import Stores
from tests.support.services.redis import version_of

if TYPE_CHECKING:
    from rich.console import Console

    from tests.benchmarks.postgres import Postgres

#: Details that make every part of the data large enough for its pages.
LEAST = 20_000
_PREFIX = "store"
#: Repositories of the second record, at most; parts of the whole that the other records and the stream have.
_REPOS = 10_000
_PART, _BYTES_PART = 10, 8
#: Details that have all names, of a hundred of the largest record: 60,000 beside a million.
_WHOLE_PART = 6
#: Longest that one call of Redis may take: of 100 the 99th, and ever.
_P99_MS, _LONGEST_MS = 5, 10


class _Run:
    """One run: the stores, and what was found so far."""

    def __init__(self, console: Console, stack: ExitStack, details: int, postgres: Postgres | None) -> None:
        self._console = console
        self._stack = stack
        self._folder = Path(stack.enter_context(TemporaryDirectory(prefix="replog-bench-")))
        self._url = start_redis(stack, self._folder / "redis").url
        plain_url = start_redis(stack, self._folder / "plain").url
        real_time = alone(self._url) and alone(plain_url)
        scheduled = "in the real-time class" if real_time else "in the class of everything else (another takes root)"
        self._postgres = postgres
        self._plain = PlainStore(plain_url)
        stack.callback(self._plain.close)
        self._recorded: dict[str, CallRecorder] = {}
        #: By record: seconds that merging each batch took.
        self._filled: dict[str, list[float]] = {}
        self.machine = f"{description()}; {version_of(self._url)}, append-only file on, {scheduled}; {_load()}"
        if postgres:
            self.machine += f", {postgres.version}, psycopg {version('psycopg')}"
        repos = tuple(f"repo-{number}" for number in range(_REPOS))
        self._records = part = details // _PART
        self._wide = Known(Shape("wide", details))
        self._many = Known(Shape("many", details, clusters=("eu",), repos=repos))
        self._tied = Known(Shape("tied", part, at_once=True))
        self._grown = Known(Shape("grown", part))
        self._whole = WholeKnown(WholeShape("whole", details * _WHOLE_PART // 100))

    async def sections(self) -> list[Section]:
        """Measure all."""
        settings = StoreSettings(redis_url=self._url, redis_prefix=_PREFIX)
        # Before the large data: what it costs to fork must not count.
        size = self._wide.shape.details // _BYTES_PART
        memory = await store_bytes.measure(start_redis(self._stack, self._folder / "bytes").url, size)
        redis = start_redis(self._stack, self._folder / "whole-bytes")
        whole_memory = await store_bytes.measure_whole(redis.url, WholeShape("whole", size))
        async with Connection(settings, timeout_s=60) as connection:
            await self._fill(connection)
            asked = questions(self._wide, self._many, self._tied, self._whole)
            stores = Stores(connection, self._url, pid_of(self._url), self._plain, self._postgres)
            reads = await self._noted("reading pages", store_reads.read(stores, asked, self._say))
            listing, self._recorded["reading the list"] = store_list.read(self._url, _PREFIX, self._wide.shape)
            self._say("listed")
            summaries = await self._noted("summaries and exports", store_summaries.read(stores, self._wide, self._many))
            tasks = await self._noted("records of one task", store_tasks.read(stores, self._records))
            many = await self._noted("many tasks", store_many_tasks.read(stores.url, stores.pid, self._records))
            filled = [
                store_writes.filled(self._wide.shape, self._filled[self._wide.shape.record_id], store_writes.GOAL),
                store_writes.filled(self._many.shape, self._filled[self._many.shape.record_id], None),
            ]
            shapes = [known.shape for known in (self._grown, self._many, self._wide)]
            writes = await self._noted("new details", store_writes.grow(stores, shapes, filled))
            removed, recorder = await store_removal.remove(stores)
            self._recorded[f"removing all {removed:,} records"] = recorder
        return [reads, self._calls(), listing, memory, whole_memory, writes, tasks, many, summaries]

    async def _noted(self, what: str, measuring: Any) -> Section:
        section: Section
        section, self._recorded[what] = await measuring
        self._say(f"{what}: done")
        return section

    async def _fill(self, connection: Connection) -> None:
        with CallRecorder(self._url) as self._recorded["filling the records"]:
            for known in (self._wide, self._many, self._tied, self._grown, self._whole):
                seconds = await store_writes.fill(connection, known.shape.record_id, known.noted(known.shape.rows()))
                rate = known.shape.details / sum(seconds)
                self._say(f"filled {known.shape.record_id}: {known.shape.details:,} details, {rate:,.0f}/s merged")
                self._filled[known.shape.record_id] = seconds
        settle(self._url)
        self._plain.add(self._wide.shape.record_id, self._wide.shape.rows())
        self._say("filled the plain design's wide record")
        if self._postgres:
            self._fill_postgres(self._postgres)

    def _fill_postgres(self, postgres: Postgres) -> None:
        for known in (self._wide, self._many, self._tied):
            postgres.add(known.shape.record_id, known.shape.rows())
        postgres.add_records(store_tasks.TASK, record_rows(self._records))
        postgres.index()
        self._say("filled PostgreSQL")

    def _calls(self) -> Section:
        lines: list[Line] = []
        for what, recorder in self._recorded.items():
            calls = recorder.calls
            met = (calls.p99_ms or 0) <= _P99_MS and calls.longest_ms <= _LONGEST_MS
            lines.append(Line(what, str(calls), f"{_P99_MS} / {_LONGEST_MS}", met=met))
        return Section("2. Calls of Redis, ms: goals are of the 99th of 100 and of the longest", lines)

    def _say(self, text: str) -> None:
        self._console.log(text)


def _load() -> str:
    return "load average at the start " + " ".join(f"{load:.1f}" for load in os.getloadavg()[:2])


def run(console: Console, *, details: int, with_postgres: bool, as_markdown: bool) -> None:
    """Build the data, measure, print."""
    # As both services do.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    before = memory()
    with ExitStack() as stack:
        # Its driver is wanted here alone.
        from tests.benchmarks.postgres import Postgres  # noqa: PLC0415

        postgres = stack.enter_context(Postgres()) if with_postgres else None
        measuring = _Run(console, stack, details, postgres)
        sections = uvloop.run(measuring.sections())
    console.print(measuring.machine)
    console.print(f"memory before: {before}; after: {memory()}")
    for section in sections:
        console.print(table_of(section))
    if as_markdown:
        console.print("\n".join(map(markdown, sections)), soft_wrap=True, markup=False, highlight=False)
