"""What many wait for is read until the last of them has gone away, and no longer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from replog_api.queries.responses import Answer
from replog_api.queries.shared_answers import SharedAnswers
from replog_api.queries.single_flight import SingleFlight

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Store:
    """Answers when it is told to; counts who reads, and who was cancelled."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.reading = self.cancelled = 0

    async def read(self) -> Answer:
        self.reading += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Answer(b"v", None, lambda *_: None)  # type: ignore[arg-type]


def by_gathering() -> Callable[[Store], Coroutine[Any, Any, Answer]]:
    """Asks the same over and over."""
    single_flight = SingleFlight[Answer]()
    return lambda store: single_flight.ask("question", store.read)


def by_sharing() -> Callable[[Store], Coroutine[Any, Any, Answer]]:
    """The same."""
    shared = SharedAnswers(1, lambda: 0)
    return lambda store: shared.find(b"question", b"v", store.read)


@pytest.fixture(params=[by_gathering, by_sharing])
def ask(request: pytest.FixtureRequest) -> Callable[[Store], Coroutine[Any, Any, Answer]]:
    """Each way of asking together."""
    made: Callable[[Store], Coroutine[Any, Any, Answer]] = request.param()
    return made


async def begun(store: Store, *asked: Coroutine[Any, Any, Answer]) -> list[asyncio.Task[Answer]]:
    """Those who ask, with a reading under way."""
    tasks = [asyncio.create_task(one) for one in asked]
    for _ in range(5):
        await asyncio.sleep(0)
    assert store.reading == 1
    return tasks


async def test_one_who_goes_ends_nothing_for_others(ask: Callable[[Store], Coroutine[Any, Any, Answer]]) -> None:
    """Whoever it was that began it."""
    store = Store()
    first, second = await begun(store, ask(store), ask(store))
    first.cancel()
    await asyncio.wait([first])
    assert store.cancelled == 0
    store.go.set()
    async with asyncio.timeout(10):
        assert (await second).version == b"v"


async def test_the_last_who_goes_ends_it(ask: Callable[[Store], Coroutine[Any, Any, Answer]]) -> None:
    """And who comes in the same moment is answered all the same."""
    store = Store()
    tasks = await begun(store, ask(store), ask(store))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    late = asyncio.create_task(ask(store))
    for _ in range(5):
        await asyncio.sleep(0)
    assert (store.cancelled, store.reading) == (1, 2)
    store.go.set()
    async with asyncio.timeout(10):
        assert (await late).version == b"v"


@pytest.mark.parametrize("owner", [SingleFlight[Answer](), SharedAnswers(1, lambda: 0)])
async def test_closing_ends_what_is_under_way(owner: Any) -> None:
    """Nothing of it is left behind."""
    store = Store()
    asked = owner.find(b"q", b"v", store.read) if isinstance(owner, SharedAnswers) else owner.ask("q", store.read)
    (task,) = await begun(store, asked)
    async with asyncio.timeout(10):
        await owner.close()
    assert store.cancelled == 1
    await asyncio.wait([task])
    assert task.cancelled()
