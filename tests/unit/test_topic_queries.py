"""Questions to the broker about the partitions of a topic."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, LeaderNotAvailableError, NotLeaderForPartitionError

from replog.errors import BrokerUnavailable
from replog_collector.kafka.offsets.topic_queries import Place, count_partitions, ends_of

if TYPE_CHECKING:
    from collections.abc import Collection

DEADLINE_S = 5.0
TOPIC, LEADER = "t", 1
#: The client's connections on which it fetches, and on which it speaks to the group's coordinator.
BUSY = (0, 1)


class Broker:
    """Answers neither request for ends before it has both; ``error_code`` is that of the latter."""

    def __init__(self, *, stable: int, end: int, error_code: int = 0, error: KafkaError | None = None) -> None:
        self._both = asyncio.Barrier(2)
        self._stable, self._end, self._error_code, self._error = stable, end, error_code, error
        #: What the functions take as a consumer, and its low client.
        self.cluster = SimpleNamespace(leader_for_partition=lambda _: LEADER)
        self._client = self

    async def send(self, leader: int, request: Any, *, group: int) -> Any:
        """Both ends of the partitions that it is asked for."""
        assert leader == LEADER
        assert group not in BUSY
        await self._both.wait()
        error_code, offset = self._error_code, self._end
        if request._isolation_level == Place.STABLE.isolation:
            error_code, offset = 0, self._stable
            if self._error:
                raise self._error
        return SimpleNamespace(
            topics=[
                (topic, [(number, error_code, -1, offset) for number, _ in partitions])
                for topic, partitions in request._topics
            ]
        )


async def test_both_ends_are_asked_for_at_once() -> None:
    """On a connection that waits for no fetch."""
    async with asyncio.timeout(DEADLINE_S):
        assert await ends_of(Broker(stable=5, end=7), TOPIC, [0, 3]) == ({0: 5, 3: 5}, {0: 7, 3: 7})


@pytest.mark.parametrize(
    ("broker", "expected"),
    [
        ({"error_code": NotLeaderForPartitionError.errno}, NotLeaderForPartitionError),
        ({"error": LeaderNotAvailableError()}, LeaderNotAvailableError),
    ],
    ids=["the end", "the last stable offset"],
)
async def test_an_error_of_either_is_raised_as_it_is(broker: dict[str, Any], expected: type[KafkaError]) -> None:
    """And no task is left."""
    before = asyncio.all_tasks()
    with pytest.raises(expected):
        async with asyncio.timeout(DEADLINE_S):
            await ends_of(Broker(stable=5, end=7, **broker), TOPIC, [0])
    assert asyncio.all_tasks() == before


class Brokers:
    """Some of these answer when they are asked for the topic, with so many partitions each; 0: it knows no broker."""

    def __init__(self, partitions: dict[int, int | None]) -> None:
        self._answers = partitions
        self._known = 0
        self.asked: list[int] = []
        self.cluster = self._client = self

    def brokers(self) -> Collection[Any]:
        return [SimpleNamespace(nodeId=number) for number in self._answers]

    async def send(self, broker: int, _: Any, *, group: int) -> Any:
        """The answer of one."""
        assert group not in BUSY
        self.asked.append(broker)
        partitions = self._answers[broker]
        if partitions is None:
            raise KafkaConnectionError
        return SimpleNamespace(brokers=[broker] * partitions, partitions=partitions)

    def update_metadata(self, answer: Any) -> None:
        self._known = answer.partitions

    def partitions_for_topic(self, _: str) -> set[int]:
        return set(range(self._known))


@pytest.mark.parametrize("others", [None, 0], ids=["do not answer", "know no broker"])
async def test_any_broker_tells_the_partitions(others: int | None) -> None:
    """And the client knows of them at once."""
    brokers = Brokers({1: others, 2: others, 3: 7})
    assert await count_partitions(brokers, TOPIC) == 7
    assert brokers.partitions_for_topic(TOPIC) == set(range(7))
    assert brokers.asked[-1] == 3


@pytest.mark.parametrize("none", [None, 0], ids=["do not answer", "know no broker"])
async def test_that_no_broker_tells_is_said(none: int | None) -> None:
    """Once each was asked."""
    brokers = Brokers({1: none, 2: none})
    with pytest.raises(BrokerUnavailable):
        await count_partitions(brokers, TOPIC)
    assert sorted(brokers.asked) == [1, 2]
