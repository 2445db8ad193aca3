import asyncio

import pytest

from replog.cancellation import REPEAT_S, cancel_and_wait, finish_all


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
