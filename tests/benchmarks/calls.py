"""CPU time that calls of Redis take the process: over the store's connection, and by the driver's own client."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import uvloop
from redis.asyncio import Redis

from replog.settings import StoreSettings
from replog.store.client.command import Command
from replog.store.client.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: Calls sent in one go; and how many are sent in a round, of how many rounds.
SIZES = (1, 20, 200)
CALLS, ROUNDS = 4000, 7
_KEY = b"replog-bench:{0}:nothing"


def costs(redis_url: str) -> dict[int, tuple[float, float]]:
    """By calls in one go: microseconds a call over the store's connection, and by the driver; medians."""
    return uvloop.run(_costs(redis_url))


async def _costs(redis_url: str) -> dict[int, tuple[float, float]]:
    driver: Redis = Redis.from_url(redis_url)
    async with Connection(StoreSettings(redis_url=redis_url), timeout_s=60) as connection, driver:
        found = dict[int, tuple[float, float]]()
        for size in SIZES:
            calls = [Command("GET", [_KEY])] * size

            async def ours(calls: list[Command] = calls) -> None:
                await connection.run(calls)

            async def drivers(size: int = size) -> None:
                pipeline = driver.pipeline(transaction=False)
                for _ in range(size):
                    pipeline.get(_KEY)
                await pipeline.execute()

            # In turn: the machine's speed drifts.
            rounds = [(await _us_a_call(ours, size), await _us_a_call(drivers, size)) for _ in range(ROUNDS)]
            of_ours, of_drivers = map(median, zip(*rounds, strict=True))
            found[size] = (of_ours, of_drivers)
        return found


async def _us_a_call(send: Callable[[], Awaitable[None]], size: int) -> float:
    begun = time.process_time()
    for _ in range(CALLS // size):
        await send()
    return (time.process_time() - begun) / CALLS * 1e6
