"""The edge to Kafka: where a collector's messages come from, and where its commits go."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from replog.errors import BrokerUnavailable
from replog.kafka import client_options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from replog.settings import KafkaSettings

#: Messages taken from the broker at once, and so the most in one batch.
BATCH_MESSAGES = 5000
#: Bytes fetched ahead from each partition.
_FETCH_BYTES = 4 * 1024 * 1024
#: A topic or partition that appears while the collector runs is found within this time.
_METADATA_AGE_MS = 10_000
#: How often the ends of the assigned partitions are asked for, and how long the answer may take.
LOOK_S = 2.0
_LOOK_TIMEOUT_S = 2.0


class Message(Protocol):
    """What a collector reads of a message."""

    @property
    def partition(self) -> int:
        """Number of its partition."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """When it was published, in milliseconds since the epoch."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def value(self) -> bytes | None:
        """Its value; None in a tombstone."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Its headers."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an assigned partition stands: the offset of its next message, and that behind its last one."""

    position: int
    end: int


class Source(Protocol):
    """A consumer group's member. Committed offsets name the *next* message."""

    async def start(self) -> None:
        """Join the group. Raises BrokerUnavailable."""

    async def stop(self) -> None:
        """Leave the group; nothing is committed by this."""

    async def poll(self, timeout_s: float) -> list[Message]:
        """The next messages, in order within each partition; empty after ``timeout_s`` without any."""

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit offsets by partition; those no longer assigned are left out. Raises BrokerUnavailable."""

    async def check(self) -> None:
        """Return where the broker answers. Raises BrokerUnavailable."""

    def standings(self) -> dict[int, Standing]:
        """Assigned partitions of which the end is known."""


class KafkaSource:
    """:class:`Source` on a Kafka topic.

    ``revoking`` is awaited before partitions are given up, and may take as long as a batch in hand; ``assigned`` is
    called with the partitions that this member has from now on.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        revoking: Callable[[], Awaitable[None]],
        assigned: Callable[[list[int]], None],
    ) -> None:
        self._settings = settings
        self._revoking = revoking
        self._assigned = assigned
        self._consumer: Any = None
        self._positions: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._look_at = 0.0

    async def start(self) -> None:
        """As the protocol says."""
        consumer = AIOKafkaConsumer(
            group_id=self._settings.kafka_group_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_FETCH_BYTES,
            metadata_max_age_ms=_METADATA_AGE_MS,
            **client_options(self._settings),
        )
        consumer.subscribe([self._settings.kafka_topic], listener=_Listener(self))
        try:
            await consumer.start()
        except KafkaError as error:
            await consumer.stop()
            raise self._unavailable(error) from error
        self._consumer = consumer

    async def stop(self) -> None:
        """As the protocol says."""
        if self._consumer:
            await self._consumer.stop()
            self._consumer = None

    async def poll(self, timeout_s: float) -> list[Message]:
        """As the protocol says."""
        try:
            fetched = await self._consumer.getmany(timeout_ms=int(timeout_s * 1000), max_records=BATCH_MESSAGES)
        except KafkaError as error:
            raise self._unavailable(error) from error
        if time.monotonic() >= self._look_at:
            await self._look()
        return [message for messages in fetched.values() for message in messages]

    async def _look(self) -> None:
        # The broker is asked itself: what the client learnt while fetching stands still where its fetching does.
        self._look_at = time.monotonic() + LOOK_S
        partitions = list(self._consumer.assignment())
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_LOOK_TIMEOUT_S):
                ends = await self._consumer.end_offsets(partitions)
                self._ends = {partition.partition: end for partition, end in ends.items()}
                for partition in partitions:
                    if partition.partition not in self._positions:
                        self._positions[partition.partition] = await self._consumer.position(partition)

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """As the protocol says."""
        self._positions.update(offsets)
        assigned = self._consumer.assignment()
        committable = {
            partition: offset
            for number, offset in offsets.items()
            if (partition := TopicPartition(self._settings.kafka_topic, number)) in assigned
        }
        try:
            if committable:
                await self._consumer.commit(committable)
        except KafkaError as error:
            raise self._unavailable(error) from error

    async def check(self) -> None:
        """As the protocol says."""
        if not self._consumer:
            raise BrokerUnavailable(f"not connected to {self._settings.kafka_bootstrap_servers}")
        try:
            await self._consumer.topics()
        except (KafkaError, TimeoutError) as error:
            raise self._unavailable(error) from error

    def standings(self) -> dict[int, Standing]:
        """As the protocol says."""
        if not self._consumer:
            return {}
        numbers = {partition.partition for partition in self._consumer.assignment()}
        return {
            number: Standing(self._positions[number], max(self._ends[number], self._positions[number]))
            for number in numbers & self._positions.keys() & self._ends.keys()
        }

    def _unavailable(self, error: BaseException) -> BrokerUnavailable:
        text = str(error) or type(error).__name__
        return BrokerUnavailable(f"{self._settings.kafka_bootstrap_servers}: {text}")

    async def revoked(self) -> None:
        """Let the collector finish before partitions are given up."""
        await self._revoking()
        self._positions.clear()
        self._look_at = 0.0

    def assigned(self, partitions: list[int]) -> None:
        """Tell the collector which partitions it has."""
        self._assigned(partitions)


class _Listener(ConsumerRebalanceListener):
    def __init__(self, source: KafkaSource) -> None:
        self._source = source

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._source.revoked()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._source.assigned(sorted(partition.partition for partition in assigned))
