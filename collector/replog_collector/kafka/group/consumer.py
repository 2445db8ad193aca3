"""The edge to Kafka: a member of the consumer group, with its polls, commits and rebalances."""

from __future__ import annotations

import asyncio
import contextlib
import time
from itertools import count
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from replog.errors import AuthenticationFailed, BrokerUnavailable, RecoverableError, StoreUnavailable
from replog.publisher.kafka_client import connected
from replog.telemetry import logger
from replog_collector import metrics
from replog_collector.kafka.fetch.client import has_ended, stop_consumer
from replog_collector.kafka.group.instance_id import InstanceId
from replog_collector.kafka.group.subscription import GroupTimings, subscribed_consumer
from replog_collector.kafka.offsets.positions import Positions
from replog_collector.kafka.offsets.start_offsets import StartOffsets
from replog_collector.kafka.offsets.topic_queries import bounds_of, count_partitions, ends_of
from replog_collector.kafka.source import Message, Polled, Standing, TopicSnapshot, Unreadable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping

    from replog.settings import CollectorSettings
    from replog_collector.checkpoint_store import CheckpointStore

#: Messages taken from the broker at once, and so the most in one batch.
BATCH_MESSAGES = 5000
#: Seconds between two snapshots of the topic: its partitions and their ends. Freshness is no finer than this.
SNAPSHOT_INTERVAL_S = 1.0
#: Seconds that the broker may take to answer.
_ANSWER_TIMEOUT_S = 2.0
_TIMINGS = GroupTimings()


class KafkaSource:
    """:class:`~replog_collector.kafka.source.Source` on a Kafka topic.

    ``revoking`` is awaited before partitions are given up, and may take as long as a batch in flight. ``assigned`` is
    called with the partitions that this member has from now on. ``client`` makes the consumer of the group. ``clock``
    gives nanoseconds since 1970.
    """

    def __init__(
        self,
        settings: CollectorSettings,
        checkpoints: CheckpointStore,
        *,
        revoking: Callable[[], Awaitable[None]],
        assigned: Callable[[list[int]], None],
        timings: GroupTimings = _TIMINGS,
        client: Callable[..., Any] = subscribed_consumer,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._timings = timings
        self._clock = clock
        self._client = client
        self._settings = settings
        self._topic = settings.kafka_topic
        self._revoking = revoking
        self._assigned = assigned
        self._consumer: Any = None
        #: Whether the consumer is not started, or raised an error that it may repeat for ever.
        self._failed = False
        self._instance_id = InstanceId(settings.kafka_group_id, settings.kafka_group_instance_id)
        #: Partitions assigned to this member; None before the first assignment and during a rebalance.
        self._assignment: frozenset[int] | None = None
        #: Numbers for the starts of partitions, each used once.
        self._epochs: Iterator[int] = count()
        #: Replaced in every rebalance: an answer from before it says nothing about partitions after it.
        self._positions = Positions(self._epochs)
        #: By partition: its last stable offset, the end of what can be read.
        self._ends: dict[int, int] = {}
        self._snapshot: TopicSnapshot | None = None
        self._start_offsets = StartOffsets(checkpoints)
        self._snapshot_due_s = 0.0
        #: The error of the last snapshot; None where the broker and the store answered.
        self._snapshot_error: BaseException | None = None

    async def start(self) -> None:
        """Join the group. Raises AuthenticationFailed, BrokerUnavailable."""
        consumer = self._client(
            self._settings, timings=self._timings, revoked=self._revoked, assigned=self._begin_assigned
        )
        # Partitions may be assigned before the client says that it has started.
        self._consumer, self._failed = consumer, True
        try:
            async with asyncio.timeout(self._timings.answer_s):
                await connected(consumer.start, self._settings)
        except AuthenticationFailed:
            await self.stop()
            raise
        except (KafkaError, TimeoutError) as error:
            await self.stop()
            what = f"no place in the group on topic {self._topic}, which may not exist"
            raise self._unavailable(error, what) from error
        self._failed = False

    async def stop(self) -> None:
        """Leave the group and disconnect; commits nothing."""
        consumer, self._consumer = self._consumer, None
        self._forget()
        if consumer:
            await stop_consumer(consumer, self._timings.answer_s, waits_to_join=self._instance_id.taken)

    @property
    def positions(self) -> Mapping[int, int]:
        """The offset of the next message to apply, by assigned partition whose start is known."""
        return {number: self._positions.applied[number] for number in self._numbers() & self._positions.applied.keys()}

    @property
    def epochs(self) -> Mapping[int, int]:
        """The epochs of the partitions in :attr:`positions`."""
        return {number: self._positions.epochs[number] for number in self.positions}

    @property
    def moving(self) -> bool:
        """Whether a rebalance is under way, and this member waits for its assignment."""
        return self._assignment is None and not self._instance_id.taken

    @property
    def snapshot(self) -> TopicSnapshot | None:
        """The last snapshot of the topic; None before the first."""
        return self._snapshot

    async def poll(self, timeout_s: float, *, paused: bool = False) -> Polled:
        """The next messages, at most :data:`BATCH_MESSAGES`. Raises BrokerUnavailable, StoreUnavailable.

        A client that has failed is replaced first.
        """
        if self._failed or self._consumer is None or has_ended(self._consumer):
            await self._replace()
        self._pause(paused)
        polled = await self._fetch(timeout_s, paused=paused)
        if asyncio.get_running_loop().time() >= self._snapshot_due_s:
            await self._take_snapshot()
        if not polled and self._snapshot_error:
            raise self._unavailable(self._snapshot_error)
        return polled

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit ``offsets`` by partition, of those still assigned, and never back. Raises BrokerUnavailable.

        What could not be committed is committed with the next snapshot.
        """
        mine = self._numbers()
        self._positions.apply({number: offset for number, offset in offsets.items() if number in mine})
        try:
            await self._commit()
        except (KafkaError, TimeoutError) as error:
            raise self._unavailable(error) from error

    async def rewind(self) -> None:
        """Go back with every assigned partition to its checkpoint. Raises BrokerUnavailable, StoreUnavailable."""
        try:
            await self._begin(self._numbers())
        except (KafkaError, TimeoutError) as error:
            raise self._unavailable(error) from error

    async def check(self) -> None:
        """Return where the broker answers. Raises BrokerUnavailable, InstanceIdTaken."""
        if not self._consumer or self._failed:
            raise BrokerUnavailable(f"not connected to {self._settings.kafka_bootstrap_servers}")
        self._instance_id.check()
        try:
            await self._consumer.topics()
        except (KafkaError, TimeoutError) as error:
            raise self._unavailable(error) from error

    def standings(self) -> dict[int, Standing]:
        """Position and end of assigned partitions of which both are known."""
        return {
            number: Standing(position, max(self._ends[number], position), self._positions.committed[number])
            for number, position in self.positions.items()
            if number in self._ends
        }

    async def _revoked(self) -> None:
        # Whatever becomes of the batch in flight: the positions of these partitions are no longer known here.
        try:
            await self._revoking()
        finally:
            self._forget()
        # Joining again would evict the other member that has this one's instance id.
        if self._consumer is not None:
            await self._instance_id.wait_until_free(self._consumer)

    async def _begin_assigned(self, partitions: list[TopicPartition]) -> None:
        if self._consumer is None:
            # The client was still joining when it was stopped.
            return
        self._instance_id.joined(self._consumer)
        self._assignment = assignment = frozenset(partition.partition for partition in partitions)
        self._snapshot_due_s = 0.0
        # Where this fails, the next snapshot tries again.
        with contextlib.suppress(KafkaError, TimeoutError, StoreUnavailable):
            await self._begin(assignment)
        # The client may have been stopped meanwhile.
        if self._assignment is assignment:
            self._assigned(sorted(assignment))

    async def _replace(self) -> None:
        # After some errors the client repeats the same one for ever.
        logger().warning("client_replaced")
        await self.stop()
        await self.start()

    async def _fetch(self, timeout_s: float, *, paused: bool) -> Polled:
        if self._instance_id.taken:
            await asyncio.sleep(timeout_s)
            return Polled()
        # The client would return messages fetched earlier from paused partitions too, and would start partitions at the
        # committed offset by itself: it is asked only for those whose start was decided here.
        numbers = [] if paused else list(self.positions)
        partitions = [TopicPartition(self._topic, number) for number in numbers or [-1]]
        try:
            # During a rebalance the client waits for its end.
            async with asyncio.timeout(timeout_s + _ANSWER_TIMEOUT_S):
                fetched = await self._consumer.getmany(
                    *partitions, timeout_ms=int(timeout_s * 1000), max_records=BATCH_MESSAGES
                )
        except TimeoutError:
            return Polled()
        except NoOffsetForPartitionError:
            # A partition was revoked and assigned again meanwhile: the next snapshot decides where it begins.
            return Polled()
        except OffsetOutOfRangeError as error:
            await self._begin_again(error.args[0])
            return Polled()
        except KafkaError as error:
            self._failed = True
            raise self._unavailable(error) from error
        return await self._polled(fetched, numbers)

    async def _polled(self, fetched: dict[TopicPartition, list[Message | Unreadable]], numbers: list[int]) -> Polled:
        # Partitions may have been revoked and assigned again meanwhile: their messages come again.
        known = {
            partition.partition: messages
            for partition, messages in fetched.items()
            if partition.partition in self._positions.applied
        }
        ends = {number: _end(messages[-1]) for number, messages in known.items()}
        spans = self._positions.poll(ends | await self._client_positions(numbers))
        everything = [message for messages in known.values() for message in messages]
        unreadable = [message for message in everything if type(message) is Unreadable]
        if unreadable:
            everything = [message for message in everything if type(message) is not Unreadable]
        return Polled(everything, spans, unreadable)

    async def _client_positions(self, numbers: list[int]) -> dict[int, int]:
        """By partition, the offset before which the client has returned all messages.

        That is beyond the last message where further offsets hold none: ends of transactions, aborted messages, what
        compaction removed.
        """
        reached: dict[int, int] = {}
        # The client knows where these begin, so it answers at once. Where it does not, nothing is known.
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
        at = {TopicPartition(*partition).partition: offset for partition, offset in reached.items()}
        try:
            await self._begin(at.keys() & self._numbers(), at)
        except (KafkaError, TimeoutError, StoreUnavailable):
            # A topic that was made anew may grow as far before the next fetch, which would then miss what is before. So
            # these are not fetched any more, until the next snapshot begins them at their checkpoints.
            self._positions.forget(at.keys())

    async def _begin(self, numbers: Collection[int], reached: Mapping[int, int] | None = None) -> None:
        """Seek each partition to where it has to be read from: ``reached``, or its checkpoint, or its first offset."""
        if not numbers:
            return
        consumer, positions = self._consumer, self._positions
        # Before the ends: a checkpoint that another member moves meanwhile is not beyond the end of a topic that grows.
        checkpoints = {} if reached else await self._start_offsets.checkpoints(numbers)
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            bounds = await bounds_of(consumer, self._topic, numbers)
        left = reached or self._start_offsets.left(bounds, checkpoints)
        begins = {
            number: self._start_offsets.of(number, left[number], first=of.first, end=of.end)
            for number, of in bounds.items()
        }
        await self._start_offsets.save(begins, left)
        if positions is not self._positions:
            # There was a rebalance meanwhile, or the client was replaced: the partitions are begun anew after it.
            return
        for number, begin in begins.items():
            consumer.seek(TopicPartition(self._topic, number), begin)
            # A fetch that was refused once goes on where it was, with batches in flight before it.
            if not reached or begin != reached[number]:
                positions.begin(number, begin, committed=bounds[number].committed)

    async def _take_snapshot(self) -> None:
        # The broker itself is asked: what the client learns while fetching stands still when its fetching does.
        self._snapshot_due_s = asyncio.get_running_loop().time() + SNAPSHOT_INTERVAL_S
        assignment, applied, asked_ms = self._assignment, self.positions, self._clock() // 1_000_000
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                # Also without an assignment: that the broker does not answer may be the reason for having none.
                partitions = await count_partitions(self._consumer, self._topic)
                stable, ends = await ends_of(self._consumer, self._topic, assignment or ())
            if assignment is self._assignment:
                self._ends = stable
                # A partition that ends before what was applied of it was truncated, or made anew with its topic. Until
                # it is begun again, nobody knows what of it is applied.
                is_behind = any(stable[number] < applied[number] for number in applied.keys() & stable.keys())
                self._snapshot = None if is_behind else TopicSnapshot(asked_ms, partitions, ends)
            metrics.TOPIC_PARTITIONS.set(partitions)
            await self._begin(self._numbers() - self._positions.applied.keys())
            await self._commit()
        except (KafkaError, TimeoutError, RecoverableError) as error:
            self._snapshot_error = error
        else:
            self._snapshot_error = None

    async def _commit(self) -> None:
        uncommitted = self._positions.uncommitted
        sent = {number: uncommitted[number] for number in uncommitted.keys() & self._numbers()}
        if not sent:
            return
        async with asyncio.timeout(self._timings.answer_s):
            await self._consumer.commit({TopicPartition(self._topic, number): at for number, at in sent.items()})
        self._positions.commit(sent)

    def _numbers(self) -> set[int]:
        return set(self._assignment or ())

    def _forget(self) -> None:
        self._assignment, self._positions = None, Positions(self._epochs)
        self._ends = {}
        self._snapshot = None
        self._snapshot_due_s = 0.0

    def _unavailable(self, error: BaseException, what: str = "") -> RecoverableError:
        if isinstance(error, RecoverableError):
            return error
        text = str(error) or type(error).__name__
        return BrokerUnavailable(f"{self._settings.kafka_bootstrap_servers}: {what and f'{what}: '}{text}")


def _end(message: Message | Unreadable) -> int:
    return (message.last if isinstance(message, Unreadable) else message.offset) + 1
