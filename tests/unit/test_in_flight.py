"""One task beside the loop: its owner ends it, whatever happens to the owner meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from replog_collector.pipeline.in_flight import InFlight


class Stubborn:
    """Work that goes on after the first cancellation until it is let go."""

    def __init__(self) -> None:
        self.begun, self.cancelled, self.let_go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            await self.let_go.wait()
            raise


async def test_an_owner_that_is_cancelled_while_it_ends_its_task_ends_it_first() -> None:
    stubborn, in_flight = Stubborn(), InFlight()
    in_flight.start(stubborn.work(), name="stubborn")
    async with asyncio.timeout(10):
        await stubborn.begun.wait()
        (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "stubborn")
        ending = asyncio.create_task(in_flight.end())
        await stubborn.cancelled.wait()
        ending.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not ending.done()
        stubborn.let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await ending
    assert task.cancelled()


async def test_an_owner_that_nobody_cancels_returns_from_ending_its_task() -> None:
    stubborn, in_flight = Stubborn(), InFlight()
    stubborn.let_go.set()
    in_flight.start(stubborn.work(), name="stubborn")
    async with asyncio.timeout(10):
        await stubborn.begun.wait()
        await in_flight.end()
    assert await in_flight.over(0)


async def test_what_a_task_raises_is_raised_once() -> None:
    async def failing() -> None:
        raise ValueError("once")

    in_flight = InFlight()
    in_flight.start(failing(), name="failing")
    async with asyncio.timeout(10):
        with pytest.raises(ValueError, match="once"):
            await in_flight.over()
        assert await in_flight.over()


async def test_two_tasks_at_once_are_refused() -> None:
    in_flight, stubborn, second = InFlight(), Stubborn(), Stubborn()
    stubborn.let_go.set()
    in_flight.start(stubborn.work(), name="first")
    assert not await in_flight.over(0)
    with pytest.raises(RuntimeError, match="first is still on its way"):
        in_flight.start(second.work(), name="second")
    await in_flight.end()
    assert not second.begun.is_set()
