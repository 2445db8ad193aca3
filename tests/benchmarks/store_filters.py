"""Filters of details that have all names: paths, versions, artifacts and packages, alone and combined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from replog.store.write.writer import Writer
from tests.benchmarks.asking import ORDER, Ours, ask, shown_ms
from tests.benchmarks.redis_calls import CallRecorder
from tests.benchmarks.store_data import WholeKnown, WholeShape, detail_batches
from tests.benchmarks.store_questions import LIMIT, of_whole
from tests.benchmarks.store_table import Line, Section

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.asking import Times
    from tests.benchmarks.store_questions import Question

_PREFIX = "bench-filters"
#: Goal of the median of first pages. Other pages have none.
GOAL_MS = 5
#: Seconds that one question may take.
_BUDGET_S = 20


async def read(redis_url: str, pid: int, details: int, say: Callable[[str], None]) -> tuple[Section, CallRecorder]:
    """Fill one record and ask; ``pid`` is the process of Redis. Totals and numbers of rows are checked.

    Each page is searched anew, and then asked for as a page after others of the same filter.
    """
    known = WholeKnown(WholeShape("whole", details))
    async with Connection(StoreSettings(redis_url=redis_url, redis_prefix=_PREFIX), timeout_s=60) as connection:
        writer = Writer(connection)
        for batch in detail_batches(known.shape.record_id, known.noted(known.shape.rows())):
            await writer.merge(batch)
        ours, again, lines = Ours(connection, pid), Ours(connection, pid, remembers=True), list[Line]()
        with CallRecorder(redis_url) as recorder:
            for question in of_whole(known):
                times, _ = await ask(ours, question, budget_s=_BUDGET_S)
                # Most of these are pages of a filter that was read before.
                later, _ = await ask(again, question, budget_s=_BUDGET_S)
                lines.append(_line(question, times, later))
                say(f"{question.what}: {lines[-1].ours}")
    return Section(f"Pages of {LIMIT} of {details:,} details, {ORDER}; median of the pages after it", lines), recorder


def _line(question: Question, times: Times, later: Times) -> Line:
    ours = f"{times}; {shown_ms(later.p50)}"
    if question.queries[0].offset:
        return Line(question.what, ours)
    return Line(question.what, ours, str(GOAL_MS), met=times.p50 <= GOAL_MS)
