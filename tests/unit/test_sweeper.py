from __future__ import annotations

import asyncio

import pytest

from replog.errors import StoreRefused, StoreUnavailable
from replog_collector.sweeper import Sweeper


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
    async with Sweeper(sweeps, on_death=lambda: None, interval_s=0):
        await sweeps.reached(3)
    swept = sweeps.count
    await asyncio.sleep(0)
    assert sweeps.count == swept


async def test_a_store_that_does_not_answer_is_tried_again() -> None:
    sweeps = Sweeps(StoreUnavailable("timeout", "slow"))
    async with Sweeper(sweeps, on_death=lambda: None, interval_s=0):
        await sweeps.reached(2)


async def test_a_record_that_the_store_refuses_does_not_end_it() -> None:
    sweeps = Sweeps(StoreRefused("WRONGTYPE"))
    async with Sweeper(sweeps, on_death=lambda: None, interval_s=0):
        await sweeps.reached(2)


async def test_its_death_stops_the_collector_and_is_not_swallowed() -> None:
    dead = asyncio.Event()
    with pytest.raises(RuntimeError, match="a bug"):
        async with Sweeper(Sweeps(RuntimeError("a bug")), on_death=dead.set, interval_s=0), asyncio.timeout(10):
            await dead.wait()
