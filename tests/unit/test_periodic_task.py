from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from replog.errors import BrokerUnavailable, StoreRefused, StoreUnavailable, TopicMissing
from replog.store.maintain.restoring import Restored
from replog_collector import metrics
from replog_collector.periodic_task import PeriodicTask, count_stale, remove_due, restore_later


class Sweeps:
    """Answers sweeps with ``answers``, then with 0 for ever."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.count = 0

    async def sweep(self) -> int:
        self.count += 1
        answer = self.answers.pop(0) if self.answers else 0
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def reached(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.count < count:
                await asyncio.sleep(0)


async def test_it_sweeps_again_and_again_until_the_block_is_left() -> None:
    sweeps = Sweeps(1, 2)
    async with PeriodicTask(sweeps.sweep, name="sweep", on_death=lambda: None, interval_s=0):
        await sweeps.reached(3)
    swept = sweeps.count
    await asyncio.sleep(0)
    assert sweeps.count == swept


async def test_a_store_that_does_not_answer_is_tried_again() -> None:
    sweeps = Sweeps(StoreUnavailable("timeout", "slow"))
    async with PeriodicTask(sweeps.sweep, name="sweep", on_death=lambda: None, interval_s=0):
        await sweeps.reached(2)


async def test_a_record_that_the_store_refuses_does_not_end_it() -> None:
    sweeps = Sweeps(StoreRefused("WRONGTYPE"))
    async with PeriodicTask(sweeps.sweep, name="sweep", on_death=lambda: None, interval_s=0):
        await sweeps.reached(2)


async def test_its_death_stops_the_collector_and_is_not_swallowed() -> None:
    dead = asyncio.Event()
    with pytest.raises(RuntimeError, match="a bug"):
        async with (
            PeriodicTask(Sweeps(RuntimeError("a bug")).sweep, name="sweep", on_death=dead.set, interval_s=0),
            asyncio.timeout(10),
        ):
            await dead.wait()


async def test_what_was_removed_is_counted() -> None:
    before = REGISTRY.get_sample_value("replog_removed_records_total") or 0.0
    await remove_due(Sweeps(3))
    assert REGISTRY.get_sample_value("replog_removed_records_total") == before + 3


class Counts:
    """Counts 2 stale records and 5 stale details; the partition is given up after ``kept`` looks at whether it is."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.walks = 0

    async def records(self) -> int:
        return 2

    async def details(self) -> int:
        self.walks += 1
        return 5

    def mine(self) -> bool:
        self.kept -= 1
        return self.kept >= 0


def told() -> tuple[float | None, float | None]:
    """What the metrics say of records and details."""
    return REGISTRY.get_sample_value("replog_stale_records"), REGISTRY.get_sample_value("replog_stale_details")


@pytest.mark.parametrize(
    ("kept", "expected", "walks"),
    [(3, (2, 5), 1), (0, (None, None), 0), (1, (None, None), 0), (2, (None, None), 1)],
    ids=["all along", "never", "given up before the walk", "given up during the walk"],
)
async def test_who_has_the_partition_says_what_is_stale(
    kept: int, expected: tuple[float | None, float | None], walks: int
) -> None:
    metrics.STALE.tell("records", 9)
    counts = Counts(kept)
    await count_stale(counts, mine=counts.mine)
    assert told() == expected
    assert counts.walks == walks
    metrics.STALE.forget()


class Restores:
    """Answers runs with ``answers``."""

    def __init__(self, *answers: Restored | Exception) -> None:
        self.answers = list(answers)

    async def restore(self) -> Restored:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize("error", [BrokerUnavailable("away"), TopicMissing("not there")], ids=["away", "missing"])
async def test_what_the_broker_prevents_is_logged_and_left_to_the_next_run(error: Exception) -> None:
    restores = Restores(error, Restored(2, 7), Restored(0, 0))
    with capture_logs() as lines:
        for _ in range(3):
            await restore_later(restores)
    assert [(line["event"], line.get("records")) for line in lines] == [("restoring_failed", None), ("restored", 2)]
