"""Questions to the broker about the partitions of one topic, asked through a client that is connected.

Every function raises ``KafkaError`` where the broker does not answer, and may wait for it without end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from enum import Enum
from random import shuffle
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, LeaderNotAvailableError, NoError, for_code
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest

from replog.errors import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection

#: Arguments of Kafka's ListOffsets request: any consumer; messages of open transactions included, or not; the end of a
#: partition, its first message.
_ANY_CONSUMER = -1
_READ_UNCOMMITTED, _READ_COMMITTED = 0, 1
_LATEST, _EARLIEST = -1, -2
#: The client's group of connections for these questions; it fetches on group 0 and has group 1 for its coordinator. A
#: broker answers a connection in the order of requests, and a fetch may take half a second, or bring some megabytes.
_QUESTIONS = 2


class Place(Enum):
    """A place in a partition: the first message, the offset after the last one, or the last stable offset."""

    FIRST = (_EARLIEST, _READ_UNCOMMITTED)
    END = (_LATEST, _READ_UNCOMMITTED)
    STABLE = (_LATEST, _READ_COMMITTED)

    @property
    def timestamp(self) -> int:
        """The number that stands for it in a request."""
        return self.value[0]

    @property
    def isolation(self) -> int:
        """The isolation level of a request for it: which messages count."""
        return self.value[1]


class Bounds(NamedTuple):
    """Offsets of one partition: the first that Kafka has, the one after the last, and the group's committed offset."""

    first: int
    end: int
    committed: int | None


async def bounds_of(consumer: Any, topic: str, numbers: Collection[int]) -> dict[int, Bounds]:
    """The bounds of partitions, by their numbers."""
    partitions = {number: TopicPartition(topic, number) for number in numbers}
    client = consumer._client  # noqa: SLF001 - what is public asks on the connections that fetch
    firsts, ends = await offsets_of(client, partitions.values(), Place.FIRST, Place.END)
    return {
        number: Bounds(firsts[partition], ends[partition], await consumer.committed(partition))
        for number, partition in partitions.items()
    }


async def ends_of(consumer: Any, topic: str, numbers: Collection[int]) -> tuple[dict[int, int], dict[int, int]]:
    """The last stable offsets, and the offsets after the last messages, by the partitions' numbers.

    Between the two lie messages of open transactions, and what came after them; neither can be read yet.
    """
    partitions = [TopicPartition(topic, number) for number in numbers]
    client = consumer._client  # noqa: SLF001 - as above
    stable, ends = await offsets_of(client, partitions, Place.STABLE, Place.END)
    return (
        {partition.partition: offset for partition, offset in stable.items()},
        {partition.partition: offset for partition, offset in ends.items()},
    )


async def count_partitions(consumer: Any, topic: str) -> int:
    """The number of partitions that the topic has now, which the client knows from then on. Raises BrokerUnavailable.

    The client refreshes its metadata by itself, but only now and then. Until then an event in a new partition could be
    older than the freshness that is known of the others, and the group would learn of the partition later.
    """
    client = consumer._client  # noqa: SLF001 - nothing public asks for one topic
    brokers = [broker.nodeId for broker in client.cluster.brokers()]
    # Another one each time, so that not all collectors ask the same one.
    shuffle(brokers)
    for broker in brokers:
        with contextlib.suppress(KafkaError):
            answer = await client.send(broker, MetadataRequest([topic]), group=_QUESTIONS)
            # One that is starting knows none.
            if answer.brokers:
                client.cluster.update_metadata(answer)
                return len(consumer.partitions_for_topic(topic) or ())
    raise BrokerUnavailable("no broker tells what the topic has")


async def offsets_of(
    client: Any, partitions: Collection[TopicPartition], *places: Place
) -> list[dict[TopicPartition, int]]:
    """The offsets of each of ``places`` in ``partitions``, as leaders tell them now to the driver's low client.

    Raises:
        KafkaError: a leader is not known, does not answer, or is no leader any more.
    """
    try:
        async with asyncio.TaskGroup() as asking:
            tasks = [
                asking.create_task(_offsets_of(client, partitions, place), name=f"offsets {place.name}")
                for place in places
            ]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _offsets_of(client: Any, partitions: Collection[TopicPartition], place: Place) -> dict[TopicPartition, int]:
    led = defaultdict(list)
    for partition in partitions:
        led[client.cluster.leader_for_partition(partition)].append(partition)
    found: dict[TopicPartition, int] = {}
    for leader, theirs in led.items():
        if leader in (None, -1):
            raise LeaderNotAvailableError(theirs)
        topics = [(partition.topic, [(partition.partition, place.timestamp)]) for partition in theirs]
        request = OffsetRequest(_ANY_CONSUMER, place.isolation, topics)
        answer = await client.send(leader, request, group=_QUESTIONS)
        for topic, offsets in answer.topics:
            for number, error_code, *_, offset in offsets:
                found[TopicPartition(topic, number)] = _checked(offset, for_code(error_code))
    return found


def _checked(offset: int, error: type[Exception]) -> int:
    if error is not NoError:
        raise error
    return offset
