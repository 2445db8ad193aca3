"""When a query service reads as of when the store is, and what it tells meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from replog.errors import StoreRefused, StoreUnavailable
from replog.store.read.as_of import read_as_of
from replog_api.http.as_of import Freshness, Patience, header_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.command import Command

EPOCH = header_of(0)
PATIENCE = Patience()


class Store:
    """A store that is as of ``ms``, and answers while ``awake`` is set."""

    prefix = "p"
    epoch = 0

    def __init__(self) -> None:
        self.ms = 0
        self.reads = 0
        #: The epoch that begins when it is read next; ``restless`` begins one at each.
        self.epoch_on_read = 0
        self.restless = False
        self.failure: Exception | None = None
        self.awake = asyncio.Event()
        self.awake.set()

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        self.reads += 1
        self.epoch = self.epoch + 1 if self.restless else max(self.epoch, self.epoch_on_read)
        fields = {b"g:t": msgpack.packb([0, [self.ms]])}
        await self.awake.wait()
        if self.failure:
            raise self.failure
        return [fields] * len(calls)


class Service:
    """What is tested, on a clock that the test moves."""

    def __init__(self, patience: Patience = PATIENCE) -> None:
        self.store = Store()
        self.now_s = 100.0
        self.freshness = Freshness(self.store, lambda: read_as_of(self.store), lambda: self.now_s, patience)

    async def told(self) -> bytes:
        async with asyncio.timeout(10):
            return self.freshness.header(await self.freshness.read())

    async def settled(self) -> None:
        """Return once nothing is being read."""
        async with asyncio.timeout(10):
            while self.freshness._reading:
                await asyncio.sleep(0)


@pytest.fixture
def service() -> Service:
    return Service()


async def test_the_first_answer_waits_for_it(service: Service) -> None:
    service.store.ms = 1000
    assert service.freshness.header(service.freshness.known) == EPOCH
    assert await service.told() == header_of(1000)


async def test_it_is_read_once_for_all_that_ask_meanwhile(service: Service) -> None:
    service.store.ms = 1000
    assert await asyncio.gather(*(service.told() for _ in range(50))) == [header_of(1000)] * 50
    service.store.ms = 2000
    service.now_s += 0.79
    assert await service.told() == header_of(1000)
    assert service.store.reads == 1


async def test_before_it_is_a_second_old_it_is_read_while_nobody_waits(service: Service) -> None:
    service.store.ms = 1000
    await service.told()
    service.store.ms, service.now_s = 2000, service.now_s + 0.85
    service.store.awake.clear()
    assert await service.told() == header_of(1000)
    service.store.awake.set()
    await service.settled()
    assert await service.told() == header_of(2000)
    assert service.store.reads == 2


async def test_what_is_a_second_old_is_not_told(service: Service) -> None:
    service.store.ms = 1000
    await service.told()
    service.store.ms, service.now_s = 2000, service.now_s + 1
    assert await service.told() == header_of(2000)


async def test_where_it_cannot_be_read_the_last_one_known_is_told(service: Service) -> None:
    service.store.ms = 1000
    await service.told()
    service.now_s += 2
    service.store.failure = StoreUnavailable("connection", "down")
    assert await service.told() == header_of(1000)
    # The first answer after that is true again.
    service.store.ms, service.store.failure = 500, None
    assert await service.told() == header_of(500)


async def test_where_somebody_wrote_over_it_nothing_is_known(service: Service) -> None:
    service.store.ms = 1000
    await service.told()
    service.now_s += 2
    service.store.failure = StoreRefused("WRONGTYPE")
    assert await service.told() == header_of(0)


async def test_nobody_waits_long_for_a_store_that_hangs() -> None:
    service = Service(Patience(wait_s=0.01))
    service.store.awake.clear()
    assert await service.told() == EPOCH
    assert await service.told() == EPOCH
    assert service.store.reads == 1
    service.store.awake.set()
    await service.settled()


async def test_not_too_many_wait() -> None:
    service = Service(Patience(most_waiting=2))
    service.store.ms = 1000
    service.store.awake.clear()
    waiting = [asyncio.create_task(service.told()) for _ in range(2)]
    await asyncio.sleep(0)
    assert await service.told() == EPOCH
    service.store.awake.set()
    assert await asyncio.gather(*waiting) == [header_of(1000)] * 2


async def test_after_a_failure_it_is_read_again_however_new_it_is(service: Service) -> None:
    service.store.ms = 1000
    await service.told()
    service.store.ms = 500
    service.freshness.doubt()
    assert await service.told() == header_of(500)


async def test_what_was_asked_for_before_a_failure_does_not_count_as_new(service: Service) -> None:
    service.store.awake.clear()
    asking = asyncio.create_task(service.told())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    service.freshness.doubt()
    service.store.awake.set()
    await asking
    await service.told()
    assert service.store.reads == 2


async def test_a_store_that_was_started_anew_is_read_again(service: Service) -> None:
    """However new the time is that was read."""
    service.store.ms = 1000
    await service.told()
    service.store.ms, service.store.epoch = 500, 1
    assert await service.told() == header_of(500)


async def test_an_answer_under_way_meanwhile_tells_no_time_from_before(service: Service) -> None:
    """Nor one from after: its data may be from before that."""
    service.store.ms = 1000
    as_of = await service.freshness.read()
    service.store.epoch = 1
    assert service.freshness.header(as_of) == EPOCH
    await service.told()
    assert service.freshness.header(as_of) == EPOCH


async def test_a_store_that_is_found_anew_by_the_reading_itself_is_read_once_more(service: Service) -> None:
    """As at the first connection of all."""
    service.store.epoch_on_read = 1
    service.store.ms = 1000
    assert await service.told() == header_of(1000)
    assert await service.told() == header_of(1000)
    assert service.store.reads == 2


async def test_one_that_is_started_anew_again_and_again_is_as_of_no_time(service: Service) -> None:
    service.store.restless = True
    service.store.ms = 1000
    assert await service.told() == EPOCH
