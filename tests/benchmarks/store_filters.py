"""Filters of details that have all names: paths, versions, artifacts and packages, alone and combined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from replog.store.write.writer import Writer
from tests.benchmarks.asking import ORDER, Ours, ask
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
    """Fill one record and ask; ``pid`` is the process of Redis. Totals and numbers of rows are checked."""
    known = WholeKnown(WholeShape("whole", details))
    async with Connection(StoreSettings(redis_url=redis_url, redis_prefix=_PREFIX), timeout_s=60) as connection:
        writer = Writer(connection)
        for batch in detail_batches(known.shape.record_id, known.noted(known.shape.rows())):
            await writer.merge(batch)
        ours, lines = Ours(connection, pid), list[Line]()
        with CallRecorder(redis_url) as recorder:
            for question in of_whole(known):
                times, _ = await ask(ours, question, budget_s=_BUDGET_S)
                lines.append(_line(question, times))
                say(f"{question.what}: {times}")
    return Section(f"Pages of {LIMIT} of {details:,} details, {ORDER}", lines), recorder


def _line(question: Question, times: Times) -> Line:
    if question.queries[0].offset:
        return Line(question.what, str(times))
    return Line(question.what, str(times), str(GOAL_MS), met=times.p50 <= GOAL_MS)
