"""Asks a store for pages, one after the other, and times each."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from replog.store.read.reader import READ_LIMITS, Reader
from tests.benchmarks.store_questions import LIMIT
from tests.benchmarks.waiting import QUIET_S, Waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.command import Command
    from replog.store.client.pipelining import CommandRunner
    from replog.store.read.filters import DetailFilter
    from tests.benchmarks.store_questions import Question


#: One quiet page in so many makes a figure.
_ENOUGH = 4
#: What :class:`Times` shows.
ORDER = "ms: median / 99th of 100 / longest (of how many that waited for no core, of all)"


class Answer(NamedTuple):
    """The number of all matches, and the ids on the page, newest first."""

    total: int
    ids: list[str]


class Store(Protocol):
    """Something that has the details; ``pid`` is of the process that answers."""

    pid: int

    async def page(self, record_id: str, flt: DetailFilter, offset: int) -> Answer:
        """The page of :data:`LIMIT` from ``offset`` on."""


class Times(NamedTuple):
    """In ms, of the pages for which nobody waited for a core (of all, where there are too few of these)."""

    asked: int
    quiet: int
    p50: float
    p99: float
    most: float

    def __str__(self) -> str:
        """For people."""
        return " / ".join(map(shown_ms, (self.p50, self.p99, self.most))) + f" ({self.quiet or 'all'} of {self.asked})"


def shown_ms(milliseconds: float) -> str:
    """With three digits that tell."""
    if milliseconds >= 100:
        return f"{milliseconds:,.0f}"
    return f"{milliseconds:.1f}" if milliseconds >= 10 else f"{milliseconds:.2f}"


class Clock:
    """Times pages, and knows those during which this process or ``pid`` waited for a core."""

    def __init__(self, pid: int) -> None:
        self._waiting = Waiting(os.getpid(), pid)
        self._all: list[float] = []
        self._quiet: list[float] = []
        self._begun = self._waited = 0.0

    def start(self) -> None:
        """A page begins."""
        self._waited = self._waiting.seconds()
        self._begun = time.perf_counter()

    def stop(self) -> None:
        """It ended."""
        seconds = time.perf_counter() - self._begun
        self._all.append(seconds)
        if self._waiting.seconds() - self._waited < QUIET_S:
            self._quiet.append(seconds)

    @property
    def times(self) -> Times:
        """The order statistics of what was timed."""
        enough = len(self._quiet) * _ENOUGH >= len(self._all)
        ordered = sorted(second * 1000 for second in (self._quiet if enough else self._all))
        count = len(ordered)
        p99 = ordered[min(count - 1, count * 99 // 100)]
        return Times(len(self._all), len(self._quiet) if enough else 0, ordered[count // 2], p99, ordered[-1])


async def ask(store: Store, question: Question, *, budget_s: float) -> tuple[Times, list[Answer]]:
    """Ask until all is asked or ``budget_s`` is over; the totals and numbers of rows are checked."""
    answers: list[Answer] = []
    clock, until = Clock(store.pid), time.monotonic() + budget_s
    for query in question.queries:
        clock.start()
        answers.append(await store.page(question.record_id, query.flt, query.offset))
        clock.stop()
        if time.monotonic() > until:
            break
    for query, answer in zip(question.queries, answers, strict=False):
        rows = max(0, min(LIMIT, query.total - query.offset))
        assert (answer.total, len(answer.ids)) == (query.total, rows), f"{question.what}: {query}: {answer}"
    return clock.times, answers


class Counting:
    """Runs calls of the store, and counts how often it waits for Redis."""

    def __init__(self, connection: CommandRunner) -> None:
        self.prefix = connection.prefix
        self.trips = 0
        self._connection = connection

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        """The replies of the connection behind it; counts one trip."""
        self.trips += bool(calls)
        return await self._connection.run(calls)


class Ours:
    """The store of this project, as the query service asks it: with matches of filters remembered, or each anew."""

    def __init__(self, connection: CommandRunner, pid: int, *, remembers: bool = False) -> None:
        self.pid = pid
        self.connection = Counting(connection)
        self._reader = Reader(self.connection, READ_LIMITS if remembers else replace(READ_LIMITS, remembered=0))

    async def page(self, record_id: str, flt: DetailFilter, offset: int) -> Answer:
        """A page, read as the query service reads it."""
        page = await self._reader.detail_page(record_id, flt, offset, LIMIT)
        assert page
        return Answer(page.total, [row.detail_id.decode() for row in page.rows])
