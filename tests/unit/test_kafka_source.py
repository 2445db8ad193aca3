"""What the source does with its client where that is replaced at a bad moment; tests/contract has the rest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from replog.errors import BrokerUnavailable, StoreRefused
from replog.settings import CollectorSettings
from replog_collector import kafka_source
from replog_collector.kafka_source import KafkaSource
from tests.fakes import MemoryMarkers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PARTITION = TopicPartition("replication.task.events", 0)


class Part:
    """Something that a client is made of."""

    closed = False

    async def close(self) -> None:
        self.closed = True

    async def force_metadata_update(self) -> bool:
        return True


class Client:
    """A client that has one partition from its start on; it answers when ``answering`` is set."""

    def __init__(
        self, *, revoked: Callable[[], Awaitable[None]], assigned: Callable[[list[TopicPartition]], Awaitable[None]]
    ) -> None:
        self.revoked = revoked
        self.assigned = assigned
        #: What it does itself with others of aiokafka's.
        self._fetcher, self._client = Part(), Part()
        self.stopping, self.answering = asyncio.Event(), asyncio.Event()
        self.stopping.set()
        self.answering.set()
        self.asked = asyncio.Event()
        self.broken = False
        self.sought: list[int] = []

    async def start(self) -> None:
        await self.assigned([PARTITION])

    async def stop(self) -> None:
        await self.stopping.wait()

    def assignment(self) -> set[TopicPartition]:
        return {PARTITION}

    def partitions_for_topic(self, _: str) -> set[int]:
        return {PARTITION.partition}

    def paused(self) -> set[TopicPartition]:
        return set()

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked.set()
        await self.answering.wait()
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 9)

    async def committed(self, _: TopicPartition) -> int:
        return 5

    async def commit(self, _: dict[TopicPartition, int]) -> None:
        """Whatever it is."""

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.sought.append(offset)

    async def getmany(self, *_: TopicPartition, **__: Any) -> dict[TopicPartition, list[Any]]:
        if self.broken:
            raise TopicAuthorizationFailedError
        return {}


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    """The clients that the source made, in order."""
    made: list[Client] = []

    def client(_: CollectorSettings, **listeners: Any) -> Client:
        made.append(Client(**listeners))
        return made[-1]

    monkeypatch.setattr(kafka_source, "subscribed_consumer", client)
    return made


async def give_up() -> None:
    """Nothing is in hand."""


async def test_a_client_that_is_replaced_while_a_rewind_asks_it_moves_nothing(clients: list[Client]) -> None:
    """The new one has gone to where its partitions begin; that the rewind finds the old one gone is no error."""
    markers = MemoryMarkers()
    markers.stored[0] = 5
    source = KafkaSource(CollectorSettings(), markers, revoking=give_up, assigned=lambda _: None)
    await source.start()
    (old,) = clients
    assert (old.sought, source.positions) == ([5], {0: 5})
    markers.stored[0] = 3
    old.answering.clear()
    old.asked.clear()
    rewind = asyncio.create_task(source.rewind())
    await old.asked.wait()
    old.broken = True
    with pytest.raises(BrokerUnavailable):
        await source.poll(0)
    await source.poll(0)
    old.answering.set()
    await rewind
    new = clients[1]
    assert (old.sought, new.sought, source.positions) == ([5], [3], {0: 3})


async def test_a_rewind_with_no_client_leaves_it_to_the_next(clients: list[Client]) -> None:
    source = KafkaSource(CollectorSettings(), MemoryMarkers(), revoking=give_up, assigned=lambda _: None)
    await source.start()
    await source.stop()
    await source.rewind()
    assert (clients[0].sought, source.positions) == ([0], {})


async def test_partitions_are_given_up_although_the_batch_in_hand_fails(clients: list[Client]) -> None:
    """Another member may get them, and they may come back: from where they stand then."""

    async def fail() -> None:
        raise StoreRefused("no batch of this is ever merged")

    source = KafkaSource(CollectorSettings(), MemoryMarkers(), revoking=fail, assigned=lambda _: None)
    await source.start()
    with pytest.raises(StoreRefused):
        await clients[0].revoked()
    assert source.positions == {}


async def test_a_client_that_does_not_stop_is_closed_all_the_same(
    clients: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its broker does not answer that it has left; what it has fetched and would go on fetching is let go."""
    monkeypatch.setattr(kafka_source, "_GROUP_TIMEOUT_S", 0.01)
    source = KafkaSource(CollectorSettings(), MemoryMarkers(), revoking=give_up, assigned=lambda _: None)
    await source.start()
    (client,) = clients
    client.stopping.clear()
    await source.stop()
    assert (client._fetcher.closed, client._client.closed) == (True, True)
