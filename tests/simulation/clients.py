"""Simulated clients of Kafka, in place of aiokafka's consumer and producer, with the manners of these.

A consumer keeps its place in the group by a task of its own, which calls the listener; polls wait while the group moves
partitions; a commit is repeated until the coordinator answers. What a test of the product reaches for inside of
aiokafka is here under the same names.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from operator import attrgetter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    KafkaConnectionError,
    KafkaTimeoutError,
    OffsetOutOfRangeError,
    RebalanceInProgressError,
    TopicAuthorizationFailedError,
    UnknownMemberIdError,
)
from aiokafka.protocol.metadata import MetadataRequest

from replog_collector.kafka.offsets.topic_queries import Place
from replog_collector.kafka.source import Unreadable
from tests.simulation.broker import RETRY_S
from tests.support.fakes import FakeMessage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from random import Random

    from tests.simulation.broker import Entry, Partition, SimulatedKafka

#: Seconds between two heartbeats, and that a question is repeated for.
HEARTBEAT_S, QUESTION_S = 3.0, 40.0
#: Messages of one poll, at most: fewer than the product asks for, so that a small topic takes many batches.
MESSAGES_A_POLL = 60


class _Part:
    """A part of a client, with the task that it lives by."""

    def __init__(self, name: str, task: asyncio.Future[Any]) -> None:
        setattr(self, name, task)

    async def close(self) -> None:
        """Nothing is open."""


class _Network:
    """The part of a consumer that speaks to brokers; there is one."""

    def __init__(self, consumer: SimulatedConsumer) -> None:
        self._consumer = consumer
        self._sync_task: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.cluster = self

    async def close(self) -> None:
        """Nothing is open."""

    def brokers(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(nodeId=1)]

    def update_metadata(self, answer: Any) -> None:
        self._consumer.learn(answer.partitions)

    def leader_for_partition(self, _: TopicPartition) -> int:
        return -1 if self._consumer.kafka.leaderless else 1

    async def send(self, _: int, request: Any, *, group: int) -> Any:
        """Answer a request for metadata or for offsets, which waits for no fetch."""
        assert group
        kafka = self._consumer.kafka
        if isinstance(request, MetadataRequest):
            return await kafka.ask(lambda: SimpleNamespace(brokers=self.brokers(), partitions=len(kafka.partitions)))
        place = _PLACES[request._topics[0][1][0][1], request._isolation_level]
        return await kafka.ask(
            lambda: SimpleNamespace(
                topics=[
                    (topic, [(number, 0, 0, place(kafka.partitions[number])) for number, _ in numbers])
                    for topic, numbers in request._topics
                ]
            )
        )


#: By timestamp and isolation level of a request.
_PLACES: dict[tuple[int, int], Callable[[Partition], int]] = {
    (Place.FIRST.timestamp, Place.FIRST.isolation): attrgetter("first"),
    (Place.END.timestamp, Place.END.isolation): attrgetter("end"),
    (Place.STABLE.timestamp, Place.STABLE.isolation): attrgetter("stable"),
}


class SimulatedConsumer:
    """A member of the group. ``revoked`` and ``assigned`` are the listener's."""

    def __init__(
        self,
        kafka: SimulatedKafka,
        *,
        revoked: Callable[[], Awaitable[None]],
        assigned: Callable[[list[TopicPartition]], Awaitable[None]],
        chance: Random,
    ) -> None:
        self.kafka = kafka
        self.known_partitions = len(kafka.partitions)
        self._revoked, self._assigned = revoked, assigned
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._member_id: str | None = None
        self.generation = -1
        #: By assigned partition, the offset that is fetched next; None until it is sought.
        self._offsets: dict[int, int | None] = {}
        self._paused: set[TopicPartition] = set()
        #: Ends when the group has assigned partitions; done while it does not move any.
        self._assignment: asyncio.Future[None] = self._loop.create_future()
        self._rejoin: asyncio.Future[None] = self._loop.create_future()
        self._closing: asyncio.Future[None] = self._loop.create_future()
        #: Raised by every poll; what the client repeats for ever.
        self.broken: Exception | None = None
        #: While true, a poll never returns; and a commit neither.
        self.hangs = False
        self._client = _Network(self)
        self._fetcher = _Part("_fetch_task", self._loop.create_future())
        self._coordinator: Any = None

    # What the product calls.

    async def start(self) -> None:
        coordination = self._loop.create_task(self._coordinate(), name="coordination")
        self._coordinator = SimpleNamespace(
            _coordination_task=coordination,
            _heartbeat_task=None,
            _commit_refresh_task=None,
            generation=-1,
            member_id="",
            close=self._fetcher.close,
        )
        await asyncio.wait([self._assignment, coordination], return_when=asyncio.FIRST_COMPLETED)

    async def stop(self) -> None:
        if self._closing.done():
            return
        self._closing.set_result(None)
        if self._coordinator:
            await asyncio.wait([self._coordinator._coordination_task])
        await self._stop_heartbeats()
        member_id, self._member_id = self._member_id, None
        if member_id is not None:
            with contextlib.suppress(KafkaConnectionError):
                await self.kafka.ask(lambda: self.kafka.group.leave(member_id))

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(self.kafka.topic, number) for number in self._offsets}

    def paused(self) -> set[TopicPartition]:
        return set(self._paused)

    def pause(self, *partitions: TopicPartition) -> None:
        self._paused.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._paused.difference_update(partitions)

    def partitions_for_topic(self, _: str) -> set[int]:
        return set(range(self.known_partitions))

    async def topics(self) -> set[str]:
        topics: set[str] = await self._question(lambda: {self.kafka.topic})
        return topics

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition.partition not in self._offsets:
            raise IllegalStateError(f"{partition} is not assigned")
        self._offsets[partition.partition] = offset
        self.kafka.sought[partition.partition] += 1

    async def position(self, partition: TopicPartition) -> int:
        while True:
            if partition.partition not in self._offsets:
                raise IllegalStateError(f"{partition} is not assigned")
            offset = self._offsets[partition.partition]
            if offset is not None:
                return offset
            await asyncio.sleep(RETRY_S)

    async def committed(self, partition: TopicPartition) -> int | None:
        committed: int | None = await self.kafka.ask_again(lambda: self.kafka.group.committed.get(partition.partition))
        return committed

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        if not self._assignment.done() and not self._offsets:
            raise IllegalStateError("no partitions are assigned")
        for partition in offsets:
            if partition.partition not in self._offsets:
                raise IllegalStateError(f"{partition} is not assigned")
        plain = {partition.partition: offset for partition, offset in offsets.items()}
        await self._hang()
        # The request is under way once it was sent, whatever becomes of the caller.
        committing = self._loop.create_task(self._commit(plain), name="offset commit")
        committing.add_done_callback(_retrieve)
        await asyncio.shield(committing)

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[FakeMessage | Unreadable]]:
        deadline_s = self._loop.time() + timeout_ms / 1000
        while True:
            await self._hang()
            if self.broken:
                raise self.broken
            if not self._assignment.done():
                await asyncio.wait([self._assignment])
            found = self._fetched(partitions, min(max_records, MESSAGES_A_POLL))
            left_s = deadline_s - self._loop.time()
            if found or left_s <= 0:
                return found
            await asyncio.wait([self.kafka.arrival()], timeout=left_s)

    # The client's own life.

    async def _coordinate(self) -> None:
        prepared = False
        while not self._closing.done():
            if not prepared:
                self._assignment = self._loop.create_future() if self._assignment.done() else self._assignment
                await self._revoked()
                prepared = True
            await self._stop_heartbeats()
            joined = await self._join()
            if joined is None:
                await asyncio.sleep(RETRY_S)
                continue
            prepared = False
            self._take(*joined)
            await self._assigned([TopicPartition(self.kafka.topic, number) for number in joined[1]])
            self._coordinator._heartbeat_task = self._loop.create_task(self._beat(), name="heartbeats")
            await asyncio.wait([self._closing, self._rejoin], return_when=asyncio.FIRST_COMPLETED)

    async def _join(self) -> tuple[int, list[int]] | None:
        answer: asyncio.Future[tuple[int, list[int]]] = self._loop.create_future()
        try:
            self._member_id = await self.kafka.ask(lambda: self.kafka.group.join(self._member_id, answer))
        except KafkaConnectionError:
            return None
        either: list[asyncio.Future[Any]] = [answer, self._closing]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else None

    def _take(self, generation: int, numbers: list[int]) -> None:
        self.generation = generation
        self._coordinator.generation, self._coordinator.member_id = generation, self._member_id
        self._offsets = dict.fromkeys(numbers)
        self._paused.clear()
        self._rejoin = self._loop.create_future()
        if not self._assignment.done():
            self._assignment.set_result(None)

    async def _beat(self) -> None:
        while self._member_id is not None:
            await asyncio.sleep(HEARTBEAT_S)
            member_id, generation = self._member_id, self.generation
            try:
                await self.kafka.ask(partial(self.kafka.group.heartbeat, member_id, generation))
            except RebalanceInProgressError:
                self._ask_to_rejoin()
            except (UnknownMemberIdError, IllegalGenerationError):
                self._member_id = None
                self._ask_to_rejoin()
            except KafkaConnectionError:
                continue

    def learn(self, partitions: int) -> None:
        """Take the number of partitions; where it is another, the member joins again."""
        if partitions != self.known_partitions:
            self.known_partitions = partitions
            self._ask_to_rejoin()

    def _ask_to_rejoin(self) -> None:
        if not self._rejoin.done():
            self._rejoin.set_result(None)

    async def _stop_heartbeats(self) -> None:
        if self._coordinator is None:
            return
        beating, self._coordinator._heartbeat_task = self._coordinator._heartbeat_task, None
        if beating:
            beating.cancel()
            await asyncio.wait([beating])

    async def _hang(self) -> None:
        if self.hangs:
            await self._loop.create_future()

    async def _commit(self, offsets: dict[int, int]) -> None:
        kafka = self.kafka
        while True:
            member_id, generation = self._member_id, self.generation
            try:
                if kafka.commits_fail:
                    raise KafkaConnectionError("simulated: the coordinator does not answer")  # noqa: TRY301
                await kafka.ask(partial(kafka.group.commit, member_id or "", generation, offsets))
            except (UnknownMemberIdError, IllegalGenerationError, RebalanceInProgressError) as error:
                raise CommitFailedError("simulated: the group has moved on") from error
            except KafkaConnectionError:
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _question(self, question: Callable[[], Any]) -> Any:
        try:
            async with asyncio.timeout(QUESTION_S):
                return await self.kafka.ask_again(question)
        except TimeoutError:
            raise KafkaTimeoutError from None

    def _fetched(
        self, partitions: Iterable[TopicPartition], most: int
    ) -> dict[TopicPartition, list[FakeMessage | Unreadable]]:
        found: dict[TopicPartition, list[FakeMessage | Unreadable]] = {}
        moved = False
        for partition in partitions:
            offset = self._offsets.get(partition.partition)
            if offset is None or partition in self._paused or self.kafka.away:
                continue
            log = self.kafka.partitions[partition.partition]
            if not log.first <= offset <= log.end:
                if found:
                    return found
                raise OffsetOutOfRangeError({partition: offset})
            entries = log.entries[offset : min(offset + most, log.stable)]
            if entries:
                moved = True
                self._offsets[partition.partition] = entries[-1].offset + 1
            readable = [_message_of(entry) for entry in entries if not entry.control]
            if readable:
                found[partition] = readable
                most -= len(readable)
                if not most:
                    break
        return found if found or not moved else {}


def _message_of(entry: Entry) -> FakeMessage | Unreadable:
    if entry.error is not None:
        return Unreadable(
            entry.partition,
            entry.offset,
            entry.error,
            last=entry.last,
            timestamp=entry.timestamp,
            key=entry.key,
            value=entry.value,
            headers=entry.headers,
        )
    return FakeMessage(entry.value, entry.partition, entry.offset, entry.timestamp, entry.key, entry.headers)


def _retrieve(task: asyncio.Task[None]) -> None:
    """Take the error of a request that its caller does not wait for any more."""
    if not task.cancelled():
        task.exception()


def denied() -> Exception:
    """An error that a client raises on every poll from then on."""
    return TopicAuthorizationFailedError("simulated")


class SimulatedProducer:
    """A producer: buffers messages for a few milliseconds, and repeats what is not acknowledged, without end.

    ``take`` adds the message to the broker's topic. Where ``idempotent`` is false, what is repeated may be there twice.
    """

    def __init__(
        self,
        kafka: SimulatedKafka,
        take: Callable[[bytes | None, bytes | None, Any], None],
        *,
        enable_idempotence: bool = True,
        linger_ms: int = 5,
        **_: Any,
    ) -> None:
        self._kafka, self._take = kafka, take
        self._idempotent = enable_idempotence
        self._linger_s = linger_ms / 1000
        self._loop = asyncio.get_running_loop()
        self._buffer: list[tuple[asyncio.Future[Any], tuple[Any, Any, Any]]] = []
        self._sending: asyncio.Task[None] | None = None
        self._closed = False
        self._sender = self.client = self

    async def start(self) -> None:
        await self._kafka.ask(lambda: None)

    async def send(self, _: str, *, key: Any, value: Any, headers: Any) -> asyncio.Future[Any]:
        acknowledgement: asyncio.Future[Any] = self._loop.create_future()
        self._buffer.append((acknowledgement, (key, value, headers)))
        if self._sending is None:
            self._sending = self._loop.create_task(self._send(), name="sender")
        return acknowledgement

    async def stop(self) -> None:
        while self._sending:
            await asyncio.wait([self._sending])

    async def close(self) -> None:
        if self._sending:
            self._sending.cancel()
            await asyncio.wait([self._sending])

    async def _send(self) -> None:
        try:
            while self._buffer:
                await asyncio.sleep(self._linger_s)
                batch, self._buffer = self._buffer, []
                await self._send_batch(batch)
        finally:
            self._sending = None

    async def _send_batch(self, batch: list[tuple[asyncio.Future[Any], tuple[Any, Any, Any]]]) -> None:
        taken = False

        def take() -> None:
            nonlocal taken
            if not taken or not self._idempotent:
                for _, message in batch:
                    self._take(*message)
            taken = True
            if self._kafka.answers_lost:
                raise KafkaConnectionError("simulated: the answer got lost")

        await self._kafka.ask_again(take)
        for acknowledgement, _ in batch:
            if not acknowledgement.done():
                acknowledgement.set_result(None)
