"""What one event of the simulated stream costs a collector between Kafka's client and the store, in CPU time."""

from __future__ import annotations

import time
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING

from replog.events import encode, parse
from replog.store.write.batch import Batch
from replog_local.simulation import simulate
from tests.benchmarks.store_data import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable

#: Left out at the beginning, where runs do not overlap yet; and how many are measured, how often.
SKIPPED, EVENTS, ROUNDS = 20_000, 40_000, 7


def costs(records: int, details: int) -> dict[str, float]:
    """Microseconds an event by stage, each the median of its rounds; a stage includes those before it."""
    stream = simulate(1, records=records, details_per_record=details)
    values = [encode(event) for event in islice(stream, SKIPPED, SKIPPED + EVENTS)]
    stages: dict[str, Callable[[list[bytes]], object]] = {
        "checked": _checked,
        "and folded": _folded,
        "and encoded": _encoded,
    }
    rounds = [[_us_an_event(stage, values) for stage in stages.values()] for _ in range(ROUNDS)]
    return dict(zip(stages, map(median, zip(*rounds, strict=True)), strict=True))


def _us_an_event(stage: Callable[[list[bytes]], object], values: list[bytes]) -> float:
    begun = time.process_time()
    for first in range(0, len(values), BATCH):
        stage(values[first : first + BATCH])
    return (time.process_time() - begun) / len(values) * 1e6


def _checked(values: list[bytes]) -> None:
    for value in values:
        parse(value)


def _folded(values: list[bytes]) -> Batch:
    batch = Batch()
    for value in values:
        batch.add(parse(value))
    return batch


def _encoded(values: list[bytes]) -> None:
    for record in _folded(values).records.values():
        for folded in filter(None, (record.record, *record.details.values())):
            assert folded.registers
