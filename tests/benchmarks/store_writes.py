"""New details a second that reach the store: filling it, and adding to a record that has many."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from replog.store.writer import Writer
from tests.benchmarks.store_data import BATCH, detail_batches
from tests.benchmarks.store_table import Line, Section
from tests.benchmarks.waiting import Waiting
from tests.benchmarks.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from replog.store.batch import Batch
    from replog.store.connection import Connection
    from tests.benchmarks.store_data import Row, Shape
    from tests.benchmarks.stores import Stores

GOAL = 30_000
#: Batches of new details that are timed.
_BATCHES = 20
_FRESH_SEED = 2


async def fill(connection: Connection, record_id: str, rows: Iterable[Row]) -> float:
    """Merge ``rows``; returns the seconds that merging took, without making and folding events."""
    return await _merge(Writer(connection), detail_batches(record_id, rows))


async def _merge(writer: Writer, batches: Iterable[Batch]) -> float:
    seconds = 0.0
    for batch in batches:
        begun = time.perf_counter()
        await writer.merge(batch)
        seconds += time.perf_counter() - begun
    return seconds


async def _grown(stores: Stores, shape: Shape) -> Line:
    batches = list(detail_batches(shape.record_id, fresh(shape)))
    waiting = Waiting(os.getpid(), stores.pid)
    before = waiting.seconds()
    seconds = await _merge(Writer(stores.ours), batches)
    return _line(shape, seconds, waiting.seconds() - before)


async def grow(stores: Stores, shapes: list[Shape]) -> tuple[Section, Witness]:
    """Add new details to records that have many; the others are asked for the last record alone."""
    with Witness(stores.url) as witness:
        lines = [await _grown(stores, shape) for shape in shapes]
    last = shapes[-1]
    lines[-1] = lines[-1]._replace(
        plain=_rate(stores.plain.add(last.record_id, fresh(last))),
        postgres=_rate(stores.postgres.merge(last.record_id, fresh(last))) if stores.postgres else "",
    )
    title = f"5. New details a second, batches of {BATCH:,} into one record, folded before (events outside the time)"
    return Section(title, lines), witness


def fresh(shape: Shape) -> Iterator[Row]:
    """Details of the record that it does not have yet."""
    return replace(shape, details=_BATCHES * BATCH, seed=_FRESH_SEED).rows()


def _line(shape: Shape, seconds: float, waited_s: float) -> Line:
    rate = _BATCHES * BATCH / (seconds - waited_s)
    ours = f"{rate:,.0f} ({_rate(seconds)} with its waits for a core)"
    return Line(f"{_BATCHES * BATCH:,} into a record of {shape.details:,}", ours, f"{GOAL:,}", met=rate >= GOAL)


def _rate(seconds: float) -> str:
    return f"{_BATCHES * BATCH / seconds:,.0f}"
