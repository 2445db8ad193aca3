"""The edge to Kafka: a member of a consumer group on a topic."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from replog.errors import BrokerUnavailable, RecoverableError, StoreUnavailable
from replog.telemetry import logger
from replog_collector.kafka.client import GroupTimings, has_ended, high_watermarks, stop_consumer, subscribed_consumer
from replog_collector.kafka.instance_id import InstanceId
from replog_collector.kafka.positions import Positions
from replog_collector.kafka.source import Message, Polled, Standing, TopicSnapshot, Unreadable
from replog_collector.kafka.start_offsets import StartOffsets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from replog.settings import CollectorSettings
    from replog_collector.checkpoint_store import CheckpointStore

#: Messages taken from the broker at once, and so the most in one batch.
BATCH_MESSAGES = 5000
#: How often the broker is asked for the topic's partitions and their ends, and how long an answer may take. What is
#: said of how fresh the store is cannot be fresher than this.
LOOK_S = 1.0
_ANSWER_TIMEOUT_S = 2.0
#: Of joining, leaving and committing, which the client tries again by itself without end.
_TIMINGS = GroupTimings()


class KafkaSource:
    """:class:`~replog_collector.kafka.source.Source` on a Kafka topic.

    ``revoking`` is awaited before partitions are given up, and may take as long as a batch in hand; ``assigned`` is
    called with the partitions that this member has from now on.
    """

    def __init__(
        self,
        settings: CollectorSettings,
        markers: CheckpointStore,
        *,
        revoking: Callable[[], Awaitable[None]],
        assigned: Callable[[list[int]], None],
        timings: GroupTimings = _TIMINGS,
    ) -> None:
        self._timings = timings
        self._settings = settings
        self._topic = settings.kafka_topic
        self._revoking = revoking
        self._assigned = assigned
        self._consumer: Any = None
        #: Whether the consumer is not started, or raised what it may raise for ever.
        self._failed = False
        self._instance_id = InstanceId(settings.kafka_group_id, settings.kafka_group_instance_id)
        #: The partitions that the group gave to this member; None before, and while it moves them.
        self._share: frozenset[int] | None = None
        #: Replaced with every move: what was asked before it tells nothing about what comes after it.
        self._positions = Positions()
        #: By partition: its last stable offset, which is as far as it can be read.
        self._ends: dict[int, int] = {}
        self._seen: TopicSnapshot | None = None
        self._start_offsets = StartOffsets(markers)
        self._look_at = 0.0
        #: Why the broker, or the store, did not answer when it was asked last.
        self._silence: BaseException | None = None

    async def start(self) -> None:
        """As the protocol says."""
        consumer = subscribed_consumer(
            self._settings, timings=self._timings, revoked=self._revoked, assigned=self._begin_assigned
        )
        # Partitions may be assigned before the client says that it has started.
        self._consumer, self._failed = consumer, True
        try:
            async with asyncio.timeout(self._timings.answer_s):
                await consumer.start()
        except (KafkaError, TimeoutError) as error:
            await self.stop()
            what = f"no place in the group on topic {self._topic}, which may not exist"
            raise self._unavailable(error, what) from error
        self._failed = False

    async def stop(self) -> None:
        """As the protocol says."""
        consumer, self._consumer = self._consumer, None
        self._forget()
        if consumer:
            await stop_consumer(consumer, self._timings.answer_s, waits_to_join=self._instance_id.taken)

    @property
    def positions(self) -> Mapping[int, int]:
        """As the protocol says."""
        return {number: self._positions.applied[number] for number in self._numbers() & self._positions.applied.keys()}

    @property
    def moving(self) -> bool:
        """As the protocol says."""
        return self._share is None and not self._instance_id.taken

    @property
    def look(self) -> TopicSnapshot | None:
        """As the protocol says."""
        return self._seen

    async def poll(self, timeout_s: float, *, paused: bool = False) -> Polled:
        """As the protocol says."""
        if self._failed or self._consumer is None or has_ended(self._consumer):
            await self._replace()
        self._pause(paused)
        polled = await self._take(timeout_s, paused=paused)
        if time.monotonic() >= self._look_at:
            await self._look()
        if not polled and self._silence:
            raise self._unavailable(self._silence)
        return polled

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """As the protocol says."""
        mine = self._numbers()
        self._positions.apply({number: offset for number, offset in offsets.items() if number in mine})
        try:
            await self._commit()
        except (KafkaError, TimeoutError) as error:
            raise self._unavailable(error) from error

    async def rewind(self) -> None:
        """As the protocol says."""
        try:
            await self._begin(self._numbers())
        except (KafkaError, TimeoutError) as error:
            raise self._unavailable(error) from error

    async def check(self) -> None:
        """As the protocol says."""
        if not self._consumer or self._failed:
            raise BrokerUnavailable(f"not connected to {self._settings.kafka_bootstrap_servers}")
        self._instance_id.check()
        try:
            await self._consumer.topics()
        except (KafkaError, TimeoutError) as error:
            raise self._unavailable(error) from error

    def standings(self) -> dict[int, Standing]:
        """As the protocol says."""
        return {
            number: Standing(position, max(self._ends[number], position))
            for number, position in self.positions.items()
            if number in self._ends
        }

    async def _revoked(self) -> None:
        # Whatever becomes of the batch in hand: where these partitions stand is no longer known here.
        try:
            await self._revoking()
        finally:
            self._forget()
        # Joining again would evict the other member that has the name of this one.
        if self._consumer is not None:
            await self._instance_id.wait_until_free(self._consumer)

    async def _begin_assigned(self, partitions: list[TopicPartition]) -> None:
        if self._consumer is None:
            # The client was in the middle of joining when it was to stop.
            return
        self._instance_id.joined(self._consumer)
        self._share, self._look_at = frozenset(partition.partition for partition in partitions), 0.0
        # Where this fails, the next look or the client's own error comes back to it.
        with contextlib.suppress(KafkaError, TimeoutError, StoreUnavailable):
            await self._begin(self._share)
        self._assigned(sorted(self._share))

    async def _replace(self) -> None:
        # After some errors the client raises the same one for ever.
        logger().warning("client_replaced")
        await self.stop()
        await self.start()

    async def _take(self, timeout_s: float, *, paused: bool) -> Polled:
        if self._instance_id.taken:
            await asyncio.sleep(timeout_s)
            return Polled()
        # What the client has fetched already it would also give of paused partitions, and it reads partitions by itself
        # from what is committed: it is asked only for those of which is decided here where they begin.
        numbers = [] if paused else list(self.positions)
        partitions = [TopicPartition(self._topic, number) for number in numbers or [-1]]
        try:
            # While partitions move, the client waits for the end of it.
            async with asyncio.timeout(timeout_s + _ANSWER_TIMEOUT_S):
                fetched = await self._consumer.getmany(
                    *partitions, timeout_ms=int(timeout_s * 1000), max_records=BATCH_MESSAGES
                )
        except TimeoutError:
            return Polled()
        except NoOffsetForPartitionError:
            # Of a partition that was given up and came back meanwhile: the next look decides where it begins.
            return Polled()
        except OffsetOutOfRangeError as error:
            await self._begin_again(error.args[0])
            return Polled()
        except KafkaError as error:
            self._failed = True
            raise self._unavailable(error) from error
        return await self._polled(fetched, numbers)

    async def _polled(self, fetched: dict[TopicPartition, list[Message | Unreadable]], numbers: list[int]) -> Polled:
        # Partitions may have been given up and come back meanwhile: what came of them before that comes again.
        known = {
            partition.partition: messages
            for partition, messages in fetched.items()
            if partition.partition in self._positions.applied
        }
        ends = {number: _end(messages[-1]) for number, messages in known.items()}
        spans = self._positions.poll(ends | await self._gone_to(numbers))
        everything = [message for messages in known.values() for message in messages]
        unreadable = [message for message in everything if type(message) is Unreadable]
        if unreadable:
            everything = [message for message in everything if type(message) is not Unreadable]
        return Polled(everything, spans, unreadable)

    async def _gone_to(self, numbers: list[int]) -> dict[int, int]:
        """By partition: before which offset the client has given all messages there are.

        That is behind the last message, and beyond what takes offsets and is none: the ends of transactions, what was
        aborted, what compaction removed.
        """
        reached: dict[int, int] = {}
        # The client was told where these begin, and so answers at once. Where it should not, nothing is told.
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                for number in numbers:
                    if number in self.positions:
                        reached[number] = await self._consumer.position(TopicPartition(self._topic, number))
        return reached

    def _pause(self, paused: bool) -> None:  # noqa: FBT001 - one caller, which has it by name
        resting = self._consumer.paused()
        if paused:
            self._consumer.pause(*(self._consumer.assignment() - resting))
        elif resting:
            self._consumer.resume(*resting)

    async def _begin_again(self, reached: Mapping[TopicPartition, int]) -> None:
        # Where this fails, the client comes to the same error again.
        with contextlib.suppress(KafkaError, TimeoutError, StoreUnavailable):
            at = {TopicPartition(*partition).partition: offset for partition, offset in reached.items()}
            await self._begin(at.keys() & self._numbers(), at)

    async def _begin(self, numbers: Collection[int], reached: Mapping[int, int] | None = None) -> None:
        """Go to where each partition has to be read from: ``reached``, or where it was left, or its first offset."""
        if not numbers:
            return
        consumer, positions = self._consumer, self._positions
        partitions = {number: TopicPartition(self._topic, number) for number in numbers}
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            firsts = await consumer.beginning_offsets(list(partitions.values()))
            ends = await high_watermarks(consumer, partitions.values())
            committed = {number: await consumer.committed(partition) for number, partition in partitions.items()}
        left = reached or await self._start_offsets.left(committed)
        begins = {
            number: self._start_offsets.of(number, left[number], first=firsts[partition], end=ends[partition])
            for number, partition in partitions.items()
        }
        await self._start_offsets.mark(begins, left)
        if positions is not self._positions:
            # The group has moved partitions meanwhile, or another client took the place of this one: it is asked again
            # where they begin.
            return
        for number, begin in begins.items():
            consumer.seek(partitions[number], begin)
            # A fetch that was refused for once goes on where it was, with batches in hand before it.
            if not reached or begin != reached[number]:
                positions.begin(number, begin, committed=committed[number])

    async def _look(self) -> None:
        # The broker is asked itself: what the client learnt while fetching stands still where its fetching does.
        self._look_at = time.monotonic() + LOOK_S
        share, asked_ms = self._share, time.time_ns() // 1_000_000
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                # Also where there are no partitions to ask for: a broker that does not answer is why.
                count = await self._count_partitions()
                stable, ends = await self._ask_for_ends(share or ())
            if share is self._share:
                self._ends, self._seen = stable, TopicSnapshot(asked_ms, count, ends)
            await self._begin(self._numbers() - self._positions.applied.keys())
            await self._commit()
        except (KafkaError, TimeoutError, RecoverableError) as error:
            self._silence = error
        else:
            self._silence = None

    async def _ask_for_ends(self, numbers: Collection[int]) -> tuple[dict[int, int], dict[int, int]]:
        """The last stable offsets, and the offsets behind the last messages.

        Between them lie messages of transactions that are open, and what came after these, and cannot be read yet.
        """
        partitions = [TopicPartition(self._topic, number) for number in numbers]
        stable = await self._consumer.end_offsets(partitions)
        ends = await high_watermarks(self._consumer, partitions)
        return (
            {partition.partition: offset for partition, offset in stable.items()},
            {partition.partition: offset for partition, offset in ends.items()},
        )

    async def _count_partitions(self) -> int:
        # The client would ask now and then by itself. Then an event in a partition that is new could be older than what
        # is told of the others, and the group would hear of the partition later.
        if not await self._consumer._client.force_metadata_update():  # noqa: SLF001 - nothing public asks for one topic
            raise BrokerUnavailable("no broker tells what the topic has")
        return len(self._consumer.partitions_for_topic(self._topic) or ())

    async def _commit(self) -> None:
        uncommitted = self._positions.uncommitted
        sent = {number: uncommitted[number] for number in uncommitted.keys() & self._numbers()}
        if not sent:
            return
        async with asyncio.timeout(self._timings.answer_s):
            await self._consumer.commit({TopicPartition(self._topic, number): at for number, at in sent.items()})
        self._positions.commit(sent)

    def _numbers(self) -> set[int]:
        return set(self._share or ())

    def _forget(self) -> None:
        self._share, self._positions = None, Positions()
        self._ends = {}
        self._seen = None
        self._look_at = 0.0

    def _unavailable(self, error: BaseException, what: str = "") -> RecoverableError:
        if isinstance(error, RecoverableError):
            return error
        text = str(error) or type(error).__name__
        return BrokerUnavailable(f"{self._settings.kafka_bootstrap_servers}: {what and f'{what}: '}{text}")


def _end(message: Message | Unreadable) -> int:
    return (message.last if isinstance(message, Unreadable) else message.offset) + 1
