"""Questions that are asked at the same time are asked once, and nobody gets an older answer than is due."""

from __future__ import annotations

import asyncio

import pytest

from replog_api.queries.single_flight import SingleFlight


class Store:
    """Answers with how often it was asked; its answers are as of when they were begun."""

    def __init__(self) -> None:
        self.asked = 0
        self.failing = False

    async def read(self) -> int:
        self.asked += 1
        begun = self.asked
        await asyncio.sleep(0.001)
        if self.failing:
            raise ValueError(begun)
        return begun


async def test_many_who_ask_at_once_cost_two_answers_at_most() -> None:
    """The one that is under way when they come, and the next."""
    store, single_flight = Store(), SingleFlight[int]()
    found = await asyncio.gather(*(single_flight.ask("question", store.read) for _ in range(1000)))
    assert store.asked == 2
    assert sorted(set(found)) == [1, 2]
    assert not single_flight._flights


async def test_nobody_gets_an_answer_that_was_begun_before_they_asked() -> None:
    """What changed before they asked is in it."""
    store, single_flight = Store(), SingleFlight[int]()

    async def client() -> None:
        for _ in range(50):
            before = store.asked
            assert await single_flight.ask("question", store.read) > before

    async with asyncio.timeout(30):
        await asyncio.gather(*(client() for _ in range(20)))


async def test_questions_are_kept_apart() -> None:
    """Each has its own answer."""
    stores, single_flight = [Store(), Store()], SingleFlight[int]()
    await asyncio.gather(*(single_flight.ask(i % 2, stores[i % 2].read) for i in range(100)))
    assert [store.asked for store in stores] == [2, 2]


async def test_a_failure_is_everybodys_and_passes() -> None:
    """Also theirs who asked while it failed: nobody waits for a second one. Who asks again is answered."""
    store, single_flight = Store(), SingleFlight[int]()
    store.failing = True
    found = await asyncio.gather(*(single_flight.ask("q", store.read) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(error, ValueError) for error in found)
    assert store.asked == 1
    store.failing = False
    assert await single_flight.ask("q", store.read) == 2


async def test_one_who_goes_away_takes_nobody_along() -> None:
    """Also the one who asked first."""
    store, single_flight = Store(), SingleFlight[int]()
    asking = [asyncio.create_task(single_flight.ask("q", store.read)) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    asking[1].cancel()
    async with asyncio.timeout(10):
        assert await asking[2] == 2
    with pytest.raises(asyncio.CancelledError):
        await asking[0]


async def test_the_same_is_not_asked_too_often() -> None:
    """Who asks meanwhile waits; who asks first does not."""
    store, single_flight = Store(), SingleFlight[int](spacing_s=0.2)
    began = asyncio.get_running_loop().time()
    assert await single_flight.ask("q", store.read) == 1
    assert asyncio.get_running_loop().time() - began < 0.2
    assert await asyncio.gather(*(single_flight.ask("q", store.read) for _ in range(100))) == [2] * 100
    assert asyncio.get_running_loop().time() - began >= 0.2
