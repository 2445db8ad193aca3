"""Places are bounded, wait for each other in order, and are never all one client's."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from replog_api.admission.concurrency import ConcurrencyLimiter, OverloadedError

#: Longer than any of these tests may take.
LONG_S = 60.0


async def taken(stack: AsyncExitStack, slots: ConcurrencyLimiter, client: str, times: int) -> int:
    """How many of so many slots a client gets at once."""
    got = 0
    for _ in range(times):
        try:
            await stack.enter_async_context(slots.slot(client))
        except OverloadedError:
            break
        got += 1
    return got


async def test_whoever_has_none_gets_one() -> None:
    """Greedy clients leave as many as each of them has."""
    slots = ConcurrencyLimiter(60)
    async with AsyncExitStack() as stack:
        assert [await taken(stack, slots, name, 60) for name in "abcd"] == [30, 15, 8, 4]
        assert [await taken(stack, slots, name, 1) for name in "efg"] == [1, 1, 1]
        with pytest.raises(OverloadedError) as refused:
            await stack.enter_async_context(slots.slot("h"))
        assert not refused.value.own_share
    async with AsyncExitStack() as stack:
        assert await taken(stack, slots, "h", 60) == 30
        with pytest.raises(OverloadedError) as refused:
            await stack.enter_async_context(slots.slot("h"))
        assert refused.value.own_share


async def test_who_waits_gets_the_place_that_is_given_back() -> None:
    """In the order of their coming, but for those who have their share."""
    slots = ConcurrencyLimiter(2, wait_s=LONG_S, most_waiting=10)
    order: list[str] = []

    async def hold(name: str) -> None:
        async with slots.slot(name):
            order.append(name)
            await asyncio.sleep(0)

    async with asyncio.timeout(10):
        async with slots.slot("a"):
            again = asyncio.create_task(hold("a"))
            await asyncio.sleep(0)
            await hold("b")
            assert order == ["b"]
        await again
    assert order == ["b", "a"]


async def test_nobody_waits_for_ever() -> None:
    """Nor do too many."""
    slots = ConcurrencyLimiter(1, wait_s=0.01, most_waiting=1)
    async with slots.slot("a"):
        with pytest.raises(OverloadedError):
            await slots.slot("b").__aenter__()
    patient = ConcurrencyLimiter(1, wait_s=LONG_S, most_waiting=1)
    async with patient.slot("a"):
        waiting = asyncio.create_task(patient.slot("b").__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await patient.slot("c").__aenter__()
        waiting.cancel()
        await asyncio.wait([waiting])


@pytest.mark.parametrize("turn_first", [True, False])
async def test_a_place_is_not_lost_with_who_goes_away(*, turn_first: bool) -> None:
    """Also where it becomes free in the same moment."""
    slots = ConcurrencyLimiter(1, wait_s=LONG_S, most_waiting=5)
    first = slots.slot("a")
    await first.__aenter__()
    waiting = asyncio.create_task(slots.slot("b").__aenter__())
    await asyncio.sleep(0)
    if turn_first:
        await first.__aexit__(None, None, None)
        waiting.cancel()
    else:
        waiting.cancel()
        await first.__aexit__(None, None, None)
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    async with asyncio.timeout(10), slots.slot("c"):
        pass
