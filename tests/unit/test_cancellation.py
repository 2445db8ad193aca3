from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from replog.cancellation import REPEAT_S, cancel_and_wait, finish_all, finish_in_order

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine


async def _swallows(cancellations: int) -> None:
    """Go on after so many cancellations, as a driver does that swallows them."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not cancellations:
                raise
            cancellations -= 1


async def test_a_task_that_swallows_cancellations_is_cancelled_again() -> None:
    tasks = [asyncio.create_task(_swallows(number)) for number in (0, 2)]
    await asyncio.sleep(0)

    assert await cancel_and_wait(tasks, timeout_s=30) == set()
    assert all(task.cancelled() for task in tasks)


async def test_a_task_that_never_ends_is_returned_after_the_limit() -> None:
    stubborn = asyncio.create_task(_swallows(3))
    await asyncio.sleep(0)

    # It takes four cancellations, and so many are not sent within this time.
    assert await cancel_and_wait([stubborn], timeout_s=REPEAT_S) == {stubborn}
    assert await cancel_and_wait([stubborn], timeout_s=30) == set()


async def test_errors_and_results_stay_with_the_tasks() -> None:
    async def fails() -> None:
        raise ValueError("why")

    failed = asyncio.create_task(fails())
    await asyncio.wait([failed])

    assert await cancel_and_wait([failed], timeout_s=1) == set()
    assert isinstance(failed.exception(), ValueError)


async def test_the_first_error_is_raised_once_all_have_ended() -> None:
    ended: list[str] = []

    async def fails() -> None:
        raise ValueError("first")

    async def takes_longer() -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        ended.append("longer")

    with pytest.raises(ValueError, match="first"):
        await finish_all(fails(), takes_longer())
    assert ended == ["longer"]


async def test_a_caller_that_is_cancelled_waits_for_the_end_of_all() -> None:
    ended: list[int] = []

    async def takes_its_time(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(number)

    caller = asyncio.create_task(finish_all(takes_its_time(1), takes_its_time(2)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    assert caller.cancelled()
    assert sorted(ended) == [1, 2]


class _Counted:
    """Work that takes some turns of the loop, the later ones fewer: which of it has begun, which has ended."""

    def __init__(self, count: int) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self._count = count

    async def each(self) -> AsyncIterator[Coroutine[Any, Any, int]]:
        for number in range(self._count):
            yield self._work(number)

    async def _work(self, number: int) -> int:
        self.begun.append(number)
        try:
            for _ in range(2 * (self._count - number)):
                await asyncio.sleep(0)
            if number == 3:
                raise ValueError("the fourth")
        finally:
            self.ended.append(number)
        return number


@pytest.mark.parametrize("ahead", [0, 1, 5])
async def test_results_come_in_order_while_some_of_the_work_runs_ahead(ahead: int) -> None:
    work = _Counted(3)
    results = []
    async for result in finish_in_order(work.each(), ahead=ahead, name="work"):
        results.append(result)
        assert len(work.begun) <= len(results) + ahead
    assert results == [0, 1, 2]
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "work"]


async def test_who_leaves_work_early_leaves_none_of_it_running() -> None:
    work = _Counted(9)
    async with aclosing(finish_in_order(work.each(), ahead=5, name="work")) as results:
        assert await anext(results) == 0
    assert sorted(work.ended) == sorted(work.begun)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "work"]


async def test_an_error_comes_where_its_result_would_and_ends_the_rest() -> None:
    work = _Counted(9)
    results = finish_in_order(work.each(), ahead=5, name="work")
    assert [await anext(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        await anext(results)
    assert sorted(work.ended) == sorted(work.begun)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "work"]
