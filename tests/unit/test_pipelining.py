from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from replog.errors import StoreUnavailable
from replog.store.client import pipelining
from replog.store.client.command import Command
from replog.store.client.pipelining import SharedPipelines

if TYPE_CHECKING:
    from collections.abc import Sequence


class Echo:
    """Answers each call with its own key, a step of the loop later, and remembers the pipelines' sizes."""

    prefix = "p"

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.at_once = 0
        self.most_at_once = 0
        self.failure: Exception | None = None
        #: While this is not set, nothing is answered.
        self.awake = asyncio.Event()
        self.awake.set()

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        self.sizes.append(len(calls))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            await self.awake.wait()
        finally:
            self.at_once -= 1
        if self.failure:
            raise self.failure
        return [call.keys[0] for call in calls]


def calls(number: int, count: int = 1) -> list[Command]:
    return [Command("GET", [b"%d-%d" % (number, i)]) for i in range(count)]


def answers(number: int, count: int = 1) -> list[bytes]:
    return [b"%d-%d" % (number, i) for i in range(count)]


@pytest.fixture
def echo() -> Echo:
    return Echo()


async def test_everybody_gets_the_answers_to_their_own_calls(echo: Echo) -> None:
    shared = SharedPipelines(echo, timeout_s=10)
    async with asyncio.timeout(10):
        found = await asyncio.gather(*(shared.run(calls(i, i % 4)) for i in range(200)))
    assert found == [answers(i, i % 4) for i in range(200)]


async def test_calls_that_come_together_leave_together(echo: Echo) -> None:
    shared = SharedPipelines(echo, timeout_s=10)
    await asyncio.gather(*(shared.run(calls(i)) for i in range(100)))
    assert len(echo.sizes) <= 2
    assert echo.most_at_once <= pipelining.LANES


async def test_no_call_is_left_waiting_when_a_lane_ends_as_it_comes(echo: Echo) -> None:
    shared = SharedPipelines(echo, timeout_s=10)

    async def client(number: int) -> None:
        for turn in range(50):
            for _ in range((number + turn) % 5):
                await asyncio.sleep(0)
            assert await shared.run(calls(number)) == answers(number)

    async with asyncio.timeout(10):
        await asyncio.gather(*(client(number) for number in range(7)))


async def test_a_pipeline_is_not_filled_without_end(echo: Echo) -> None:
    shared = SharedPipelines(echo, timeout_s=10)
    await asyncio.gather(*(shared.run(calls(i, 50)) for i in range(10)))
    assert max(echo.sizes) <= pipelining.CALLS_A_PIPELINE


async def test_a_failure_is_everybodys_and_passes(echo: Echo) -> None:
    shared = SharedPipelines(echo, timeout_s=10)
    echo.failure = StoreUnavailable("connection", "down")
    found = await asyncio.gather(*(shared.run(calls(i)) for i in range(3)), return_exceptions=True)
    assert found == [echo.failure] * 3
    echo.failure = None
    assert await shared.run(calls(1)) == answers(1)


async def test_one_who_goes_away_takes_nobody_along(echo: Echo) -> None:
    shared = SharedPipelines(echo, timeout_s=10)
    leaving, staying = (asyncio.create_task(shared.run(calls(i))) for i in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    async with asyncio.timeout(10):
        assert await staying == answers(1)


async def test_who_waits_for_a_store_that_hangs_is_told_in_time(echo: Echo) -> None:
    """Those in the pipelines that hang and those behind them; then it goes on as if nothing had been."""
    shared = SharedPipelines(echo, timeout_s=0.1)
    echo.awake.clear()
    began = asyncio.get_running_loop().time()
    found = await asyncio.gather(*(shared.run(calls(i, 60)) for i in range(20)), return_exceptions=True)
    assert asyncio.get_running_loop().time() - began < 2
    assert {(type(error), getattr(error, "kind", "")) for error in found} == {(StoreUnavailable, "timeout")}
    echo.awake.set()
    asked = len(echo.sizes)
    assert await shared.run(calls(1)) == answers(1)
    # What was given up is not asked for any more.
    assert echo.sizes[asked:] == [1]


async def test_not_too_many_wait(echo: Echo) -> None:
    """The rest is told at once, and there is room again once somebody has got an answer."""
    shared = SharedPipelines(echo, timeout_s=10, most_waiting=5)
    echo.awake.clear()
    waiting = [asyncio.create_task(shared.run(calls(i))) for i in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable) as refused:
        await shared.run(calls(5))
    assert refused.value.kind == "busy"
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    waiting.append(asyncio.create_task(shared.run(calls(6))))
    await asyncio.sleep(0)
    echo.awake.set()
    assert await asyncio.gather(*waiting[1:]) == [answers(i) for i in (1, 2, 3, 4, 6)]


async def test_closing_ends_what_is_under_way(echo: Echo) -> None:
    """Those who wait are told, in the pipelines and behind them, and no sender is left."""
    shared = SharedPipelines(echo, timeout_s=60)
    echo.awake.clear()
    waiting = [asyncio.create_task(shared.run(calls(i, 100))) for i in range(6)]
    while len(echo.sizes) < pipelining.LANES:
        await asyncio.sleep(0)
    assert {task.get_name() for task in shared._tasks} == {"pipeline sender"}
    async with asyncio.timeout(10):
        await shared.close()
        found = await asyncio.gather(*waiting, return_exceptions=True)
    assert not shared._tasks
    assert {type(error) for error in found} == {StoreUnavailable}
