"""New details a second that reach the store: filling it, and adding to a record that has many."""

from __future__ import annotations

import gc
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from replog.store.write.writer import Writer
from tests.benchmarks.redis_calls import CallRecorder
from tests.benchmarks.servers import settle
from tests.benchmarks.store_data import BATCH, detail_batches
from tests.benchmarks.store_table import Line, Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from replog.store.client.connection import Connection
    from replog.store.write.batch import Batch
    from tests.benchmarks.store_data import Row, Shape
    from tests.benchmarks.stores import Stores

GOAL = 30_000
#: Batches of new details that are timed.
_BATCHES = 20
_FRESH_SEED = 2


async def fill(connection: Connection, record_id: str, rows: Iterable[Row]) -> list[float]:
    """Merge ``rows``; returns the seconds that merging each batch took, without making and folding events."""
    return await _merge(Writer(connection), detail_batches(record_id, rows))


async def _merge(writer: Writer, batches: Iterable[Batch]) -> list[float]:
    seconds: list[float] = []
    for batch in batches:
        begun = time.perf_counter()
        await writer.merge(batch)
        seconds.append(time.perf_counter() - begun)
    return seconds


def filled(shape: Shape, seconds: list[float], goal: int | None) -> Line:
    """How fast a record grew once it had a tenth of its details; ``seconds`` are those of each batch."""
    first = len(seconds) // 10
    details, took_s = (len(seconds) - first) * BATCH, sum(seconds[first:])
    what = f"{details:,} into a record of {first * BATCH:,}, {shape.pairs:,} pairs, in order of time"
    return _line(what, details, took_s, goal)


async def _grown(stores: Stores, shape: Shape) -> Line:
    batches = list(detail_batches(shape.record_id, fresh(shape)))
    # The child that does it has this program's core.
    settle(stores.url)
    # As the collector does, which never has so many batches.
    gc.collect()
    gc.freeze()
    seconds = sum(await _merge(Writer(stores.ours), batches))
    gc.unfreeze()
    details = _BATCHES * BATCH
    what = f"{details:,} among the oldest of a record of {shape.details:,}, {shape.pairs:,} pairs"
    return _line(what, details, seconds, None)


async def grow(stores: Stores, shapes: list[Shape], filled: list[Line]) -> tuple[Section, CallRecorder]:
    """Add new details to records that have many; the others are asked for the last record alone.

    ``filled`` are the lines about how those records came to be.
    """
    with CallRecorder(stores.url) as recorder:
        lines = [*filled, *[await _grown(stores, shape) for shape in shapes]]
    last = shapes[-1]
    lines[-1] = lines[-1]._replace(
        plain=_rate(stores.plain.add(last.record_id, fresh(last))),
        postgres=_rate(stores.postgres.merge(last.record_id, fresh(last))) if stores.postgres else "",
    )
    title = f"5. New details a second, batches of {BATCH:,} into one record, folded before (events outside the time)"
    return Section(title, lines), recorder


def fresh(shape: Shape) -> Iterator[Row]:
    """Details of the record that it does not have yet."""
    return replace(shape, details=_BATCHES * BATCH, seed=_FRESH_SEED).rows()


def _line(what: str, details: int, seconds: float, goal: int | None) -> Line:
    rate = details / seconds
    ours = f"{rate:,.0f}"
    return Line(what, ours) if goal is None else Line(what, ours, f"{goal:,}", met=rate >= goal)


def _rate(seconds: float) -> str:
    return f"{_BATCHES * BATCH / seconds:,.0f}"
