"""Questions to the broker about the partitions of a topic."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaError, LeaderNotAvailableError, NotLeaderForPartitionError

from replog_collector.kafka.offsets.topic_queries import ends_of

if TYPE_CHECKING:
    from aiokafka import TopicPartition

DEADLINE_S = 5.0
TOPIC, LEADER = "t", 1


class Broker:
    """Answers neither request for ends before it has both; ``error_code`` is that of the latter."""

    def __init__(self, *, stable: int, end: int, error_code: int = 0, error: KafkaError | None = None) -> None:
        self._both = asyncio.Barrier(2)
        self._stable, self._end, self._error_code, self._error = stable, end, error_code, error
        #: What the functions take as a consumer, and its low client.
        self.cluster = SimpleNamespace(leader_for_partition=lambda _: LEADER)
        self._client = self

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """The last stable offsets."""
        await self._both.wait()
        if self._error:
            raise self._error
        return dict.fromkeys(partitions, self._stable)

    async def send(self, leader: int, request: Any) -> Any:
        """The offsets after the last messages."""
        assert leader == LEADER
        await self._both.wait()
        return SimpleNamespace(
            topics=[
                (topic, [(number, self._error_code, -1, self._end) for number, _ in partitions])
                for topic, partitions in request._topics
            ]
        )


async def test_both_ends_are_asked_for_at_once() -> None:
    """A fetch that is under way holds up every request behind it, so the two wait for it together."""
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
