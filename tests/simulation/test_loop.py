"""The simulated loop: a seed always goes the same way, processes end or stand still at any await, time is virtual."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.simulation.loop import BEGIN_S, DeadlockError, Process, SimulatedLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR_S = 3600.0


@pytest.fixture
def loop() -> Iterator[SimulatedLoop]:
    loop = SimulatedLoop(random.Random(1))
    yield loop
    loop.close()


def run_for(loop: SimulatedLoop, seconds: float) -> None:
    loop.in_world(seconds, loop.stop)
    loop.run_forever()


def course_of(seed: int) -> list[str]:
    """The order in which the steps of three processes come."""
    loop, steps = SimulatedLoop(random.Random(seed)), list[str]()

    async def work(name: str) -> None:
        for number in range(5):
            steps.append(f"{name}{number}")
            await asyncio.sleep(0)

    for name in "abc":
        loop.start(Process(name), work(name), name="work")
    run_for(loop, 1)
    loop.close()
    return steps


def test_a_seed_always_goes_the_same_way_and_another_goes_another() -> None:
    assert course_of(7) == course_of(7)
    assert len({tuple(course_of(seed)) for seed in range(5)}) > 1


def test_the_callbacks_of_one_process_keep_their_order() -> None:
    for seed in range(20):
        assert [step for step in course_of(seed) if step[0] == "a"] == ["a0", "a1", "a2", "a3", "a4"]


def test_an_hour_takes_no_time(loop: SimulatedLoop) -> None:
    begun_s = time.monotonic()
    loop.run_until_complete(loop.create_task(asyncio.sleep(HOUR_S)))
    assert loop.time() >= BEGIN_S + HOUR_S
    assert time.monotonic() - begun_s < HOUR_S


def test_a_killed_process_does_nothing_more_and_cleans_nothing_up(loop: SimulatedLoop) -> None:
    done: list[str] = []
    process = Process("victim")

    async def work() -> None:
        try:
            done.append("begun")
            await asyncio.sleep(1)
            done.append("went on")
        finally:
            done.append("cleaned up")

    loop.start(process, work(), name="work")
    loop.in_world(0.5, loop.kill, process)
    run_for(loop, 10)
    assert done == ["begun"]
    loop.bury([process])
    assert not process.tasks


def test_what_a_killed_process_asked_for_is_done_all_the_same(loop: SimulatedLoop) -> None:
    done: list[str] = []
    process = Process("victim")

    def serve(answer: asyncio.Future[None]) -> None:
        done.append("served")
        answer.set_result(None)

    async def work() -> None:
        answer: asyncio.Future[None] = loop.create_future()
        loop.in_world(1, serve, answer)
        await answer
        done.append("went on")

    loop.start(process, work(), name="work")
    loop.in_world(0.5, loop.kill, process)
    run_for(loop, 10)
    assert done == ["served"]
    loop.bury([process])


def test_a_frozen_process_goes_on_where_it_was(loop: SimulatedLoop) -> None:
    woken_s: list[float] = []
    process = Process("zombie")

    async def work() -> None:
        await asyncio.sleep(1)
        woken_s.append(loop.time() - BEGIN_S)

    loop.start(process, work(), name="work")
    loop.in_world(0.5, loop.freeze, process)
    loop.in_world(20, loop.thaw, process)
    run_for(loop, 30)
    assert len(woken_s) == 1
    assert woken_s[0] >= 20


def test_a_loop_with_nothing_left_to_run_says_so(loop: SimulatedLoop) -> None:
    with pytest.raises(DeadlockError):
        loop.run_forever()


def test_an_error_that_nobody_handles_is_told(loop: SimulatedLoop) -> None:
    told: list[str] = []
    loop.on_failure = lambda what, _: told.append(what)
    loop.in_world(0.1, lambda: 1 // 0)
    run_for(loop, 1)
    assert len(told) == 1
    assert "ZeroDivisionError" in told[0]
