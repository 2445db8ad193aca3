"""Pages of details at any depth with any filter: ours, the plain design's, PostgreSQL's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.asking import ORDER, Ours, ask, shown_ms
from tests.benchmarks.redis_calls import CallRecorder
from tests.benchmarks.store_table import Line, Section

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.asking import Answer, Store, Times
    from tests.benchmarks.store_questions import Question
    from tests.benchmarks.stores import Stores

#: Seconds that each store may take for one question, after which it is asked no more.
_OURS_S, _PLAIN_S, _POSTGRES_S = 60, 2, 10


async def read(stores: Stores, questions: list[Question], say: Callable[[str], None]) -> tuple[Section, CallRecorder]:
    """Ask each store each question; the plain design only about the records that it has."""
    ours, plain, postgres = Ours(stores.ours, stores.pid), stores.plain, stores.postgres
    lines: list[Line] = []
    answered: list[list[Answer]] = []
    with CallRecorder(stores.url) as recorder:
        for question in questions:
            before = ours.connection.trips
            times, answers = await ask(ours, question, budget_s=_OURS_S)
            trips = (ours.connection.trips - before) / times.asked
            answered.append(answers)
            lines.append(_line(question, times, trips))
            say(f"{question.what}: {times} ms, {trips:.1f} round trips")
    for number, question in enumerate(questions):
        if not question.of_others:
            continue
        lines[number] = lines[number]._replace(
            plain=await _others(plain, question, answered[number], _PLAIN_S) if plain.has(question.record_id) else "",
            postgres=await _others(postgres, question, answered[number], _POSTGRES_S) if postgres else "",
        )
        say(f"{question.what}: plain {lines[number].plain}, PostgreSQL {lines[number].postgres}")
    title = f"1. Pages of 20 with exact totals, {ORDER}"
    return Section(title, lines), recorder


def _line(question: Question, times: Times, trips: float) -> Line:
    ours = f"{times}, {trips:.1f} trips"
    return Line(question.what, ours, shown_ms(question.goal_ms), met=times.p99 <= question.goal_ms)


async def _others(store: Store, question: Question, answers: list[Answer], budget_s: float) -> str:
    times, others = await ask(store, question, budget_s=budget_s)
    for query, one, other in zip(question.queries, answers, others, strict=False):
        assert one == other, f"{question.what}: {query}: {one}, but {other}"
    return str(times)
