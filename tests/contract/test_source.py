"""The source's port: what is published comes in order, and what is not committed comes again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Producer

from replog.errors import BrokerUnavailable, RecoverableError, StoreUnavailable
from replog.publisher.kafka import KafkaProducer
from replog.settings import CollectorSettings
from replog.store.write.offsets import Span
from replog_collector.kafka.group.consumer import KafkaSource
from replog_collector.kafka.group.subscription import GroupTimings
from replog_collector.kafka.source import Message, Source, Standing, Unreadable
from tests.simulation.broker import SimulatedKafka
from tests.simulation.clients import SimulatedConsumer
from tests.support import batches
from tests.support.fakes import MemoryCheckpoints, MemorySource, MemoryTopic
from tests.support.services import kafka_admin
from tests.support.services.kafka_admin import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.simulation.broker import Partition

DEADLINE_S = 30.0
MOST_BYTES = 1_000_000
T = TypeVar("T")


class Transaction(Protocol):
    """Commits a transaction, or aborts it."""

    async def __call__(self, *, commit: bool) -> None: ...


class Topic(Protocol):
    """A topic of which one key's messages are one partition's, and its group's members."""

    checkpoints: MemoryCheckpoints

    async def publish(self, *values: bytes | None) -> None: ...

    async def open_transaction(self, value: bytes) -> Transaction: ...

    async def publish_unreadable(self) -> None:
        """Publish one message with a header's name that is no UTF-8."""

    async def publish_bomb(self) -> None:
        """Publish a batch of 3 messages that decompresses to more than is allowed."""

    async def publish_damaged(self) -> None:
        """Publish a batch of 3 messages that does not decompress."""

    async def make_anew(self) -> None:
        """Delete the topic, with what the group has committed in it, and make it again."""

    def member(self) -> Source: ...


class InMemory:
    def __init__(self) -> None:
        self.topic = MemoryTopic()
        self.checkpoints = MemoryCheckpoints()

    async def publish(self, *values: bytes | None) -> None:
        for value in values:
            self.topic.publish(value, key=b"k")

    async def open_transaction(self, value: bytes) -> Transaction:
        self.topic.open_transaction(value, key=b"k")

        async def end(*, commit: bool) -> None:
            self.topic.end_transaction(commit=commit)

        return end

    async def publish_unreadable(self) -> None:
        headers = [("a", b"1"), ("r\\xe9gion", b"eu")]
        self.topic.publish_unreadable("a name", key=b"k", value=b"b", headers=headers)

    async def publish_bomb(self) -> None:
        self.topic.publish_unreadable("too large", messages=3)

    async def publish_damaged(self) -> None:
        self.topic.publish_unreadable("damaged", messages=3)

    async def make_anew(self) -> None:
        self.topic.make_anew()

    def member(self) -> Source:
        return MemorySource(self.topic, self.checkpoints)


class InKafka:
    def __init__(self, settings: CollectorSettings, timings: GroupTimings) -> None:
        self.settings = settings
        self.timings = timings
        self.checkpoints = MemoryCheckpoints()

    async def publish(self, *values: bytes | None) -> None:
        producer = KafkaProducer(self.settings, self.settings.kafka_topic)
        await producer.start()
        for value in values:
            await producer.acknowledged(await producer.send(b"k", value))
        await producer.stop()

    async def open_transaction(self, value: bytes) -> Transaction:
        producer = Producer(
            {
                "bootstrap.servers": self.settings.kafka_bootstrap_servers,
                "transactional.id": self.settings.kafka_topic,
                # As the other producer's, so that both write to one partition.
                "partitioner": "murmur2_random",
            }
        )
        await asyncio.to_thread(producer.init_transactions, DEADLINE_S)
        producer.begin_transaction()
        producer.produce(self.settings.kafka_topic, value, key=b"k")
        await asyncio.to_thread(producer.flush, DEADLINE_S)

        async def end(*, commit: bool) -> None:
            await asyncio.to_thread(producer.commit_transaction if commit else producer.abort_transaction, DEADLINE_S)

        return end

    async def publish_unreadable(self) -> None:
        headers = [(b"a", b"1"), (b"r\xe9gion", b"eu")]
        await self._publish_batch(batches.batch([batches.Raw(b"b", headers=headers)]))

    async def publish_bomb(self) -> None:
        await self._publish_batch(batches.bomb(MOST_BYTES))

    async def publish_damaged(self) -> None:
        await self._publish_batch(batches.not_decompressing())

    async def _publish_batch(self, data: bytes) -> None:
        numbers = list(range(PARTITIONS))
        partition = DefaultPartitioner()(b"k", numbers, numbers)
        await batches.produce(self.settings.kafka_bootstrap_servers, self.settings.kafka_topic, partition, data)

    async def make_anew(self) -> None:
        of = (self.settings.kafka_bootstrap_servers, self.settings.kafka_topic)
        await asyncio.to_thread(kafka_admin.make_topic_anew, *of)

    def member(self) -> Source:
        return KafkaSource(
            self.settings, self.checkpoints, revoking=_give_up, assigned=lambda _: None, timings=self.timings
        )


class RealTime:
    """The simulated broker's view of the test's own loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.create_future = self._loop.create_future

    @property
    def now_s(self) -> float:
        return self._loop.time()

    def in_world(self, delay_s: float, callback: Callable[..., object], *args: Any) -> object:
        return self._loop.call_later(delay_s, callback, *args)

    create_future: Callable[[], asyncio.Future[Any]]


class InSimulatedKafka:
    """The product's source over the broker and the client that simulations have."""

    def __init__(self) -> None:
        self.kafka = SimulatedKafka(RealTime(), Random(1), PARTITIONS, _now_ms, "events")
        self.checkpoints = MemoryCheckpoints()

    @property
    def _partition(self) -> Partition:
        return self.kafka.partition_of(b"k")

    async def publish(self, *values: bytes | None) -> None:
        for value in values:
            self.kafka.append(self._partition, value=value, key=b"k")

    async def open_transaction(self, value: bytes) -> Transaction:
        self._partition.open_at = self._partition.end
        opened = self.kafka.append(self._partition, value=value, key=b"k")

        async def end(*, commit: bool) -> None:
            opened.control = not commit
            self._partition.open_at = None
            self.kafka.append(self._partition, control=True)

        return end

    async def publish_unreadable(self) -> None:
        self._publish_unreadable("a name", key=b"k", value=b"b", headers=(("a", b"1"), ("r\\xe9gion", b"eu")))

    async def publish_bomb(self) -> None:
        self._publish_unreadable("too large", messages=3)

    async def publish_damaged(self) -> None:
        self._publish_unreadable("damaged", messages=3)

    def _publish_unreadable(self, error: str, **parts: Any) -> None:
        self.kafka.append_unreadable(self._partition, error, **parts)

    async def make_anew(self) -> None:
        self.kafka.make_anew()

    def member(self) -> Source:
        def client(_: CollectorSettings, *, timings: GroupTimings, **listeners: Any) -> SimulatedConsumer:
            return SimulatedConsumer(self.kafka, chance=Random(2), **listeners)

        return KafkaSource(
            CollectorSettings(kafka_topic="events"),
            self.checkpoints,
            revoking=_give_up,
            assigned=lambda _: None,
            client=client,
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _give_up() -> None:
    return


@pytest.fixture(params=["memory", "simulated", "kafka"])
async def topic(request: pytest.FixtureRequest) -> Topic:
    if request.param == "memory":
        return InMemory()
    if request.param == "simulated":
        return InSimulatedKafka()
    embedded = request.getfixturevalue("kafka").kind == "embedded"
    name: str = request.getfixturevalue("kafka_topic")
    return InKafka(
        CollectorSettings(
            kafka_bootstrap_servers=request.getfixturevalue("kafka_address"),
            kafka_topic=name,
            kafka_group_id=f"group-of-{name}",
            max_batch_bytes=MOST_BYTES,
        ),
        # The embedded broker keeps a member that has left until its session is over.
        GroupTimings(session_ms=4000) if embedded else GroupTimings(),
    )


@pytest.fixture
async def member(topic: Topic) -> AsyncIterator[Source]:
    source = topic.member()
    await source.start()
    yield source
    await source.stop()


async def taken(source: Source, count: int) -> list[Message]:
    """The next ``count`` messages at least."""
    messages: list[Message] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(messages) < count:
            messages += (await source.poll(0.2)).messages
    return messages


async def everything(source: Source, end: int) -> tuple[list[Message], list[Unreadable]]:
    """What there is up to before the offset ``end``, by polls that leave nothing out between them."""
    messages: list[Message] = []
    unreadable: list[Unreadable] = []
    reached: dict[int, int] = {}
    async with asyncio.timeout(DEADLINE_S):
        while end not in reached.values():
            polled = await source.poll(0.2)
            messages += polled.messages
            unreadable += polled.unreadable
            assert all(span.begin == reached.get(number, span.begin) for number, span in polled.spans.items())
            reached |= {number: span.end for number, span in polled.spans.items()}
    return messages, unreadable


async def applied(topic: Topic, member: Source, message: Message) -> None:
    """What a collector does once everything up to ``message`` is in the store."""
    span = Span(member.positions[message.partition], message.offset + 1)
    await topic.checkpoints.advance({message.partition: span}, ())
    await member.commit({message.partition: span.end})


async def test_messages_come_as_they_were_published_and_in_order(topic: Topic, member: Source) -> None:
    await topic.publish(b"a", None, b"c")
    messages = await taken(member, 3)
    assert [message.value for message in messages] == [b"a", None, b"c"]
    assert {message.key for message in messages} == {b"k"}
    first = messages[0].offset
    assert [message.offset for message in messages] == [first, first + 1, first + 2]


async def test_a_message_that_cannot_be_read_is_passed_over_alone(topic: Topic, member: Source) -> None:
    await topic.publish(b"a")
    (first,) = await taken(member, 1)
    await topic.publish_unreadable()
    await topic.publish(b"c")
    messages, (unreadable,) = await everything(member, first.offset + 3)
    assert [message.value for message in messages] == [b"c"]
    assert (unreadable.partition, unreadable.offset, unreadable.last) == (first.partition, *[first.offset + 1] * 2)
    assert (unreadable.key, unreadable.value) == (b"k", b"b")
    assert list(unreadable.headers) == [("a", b"1"), ("r\\xe9gion", b"eu")]


@pytest.mark.parametrize("publish", ["publish_bomb", "publish_damaged"])
async def test_a_batch_of_which_nothing_can_be_read_is_passed_over(topic: Topic, member: Source, publish: str) -> None:
    await topic.publish(b"a")
    (first,) = await taken(member, 1)
    await getattr(topic, publish)()
    await topic.publish(b"c")
    messages, (unreadable,) = await everything(member, first.offset + 5)
    assert [message.value for message in messages] == [b"c"]
    assert (unreadable.offset, unreadable.last) == (first.offset + 1, first.offset + 3)
    assert (unreadable.key, unreadable.value) == (None, None)


async def test_what_cannot_be_read_and_is_committed_does_not_come_again(topic: Topic, member: Source) -> None:
    await topic.publish(b"a")
    (first,) = await taken(member, 1)
    await topic.publish_bomb()
    _, (unreadable,) = await everything(member, first.offset + 4)
    await topic.checkpoints.advance({first.partition: Span(first.offset, unreadable.last + 1)}, ())
    await member.commit({first.partition: unreadable.last + 1})
    await member.stop()
    await topic.publish(b"c")
    successor = topic.member()
    await successor.start()
    messages, unreadables = await everything(successor, first.offset + 5)
    assert ([message.value for message in messages], unreadables) == ([b"c"], [])
    await successor.stop()


async def test_a_poll_of_nothing_ends(member: Source) -> None:
    async with asyncio.timeout(DEADLINE_S):
        assert not (await member.poll(0.05)).messages


async def test_what_is_committed_does_not_come_again(topic: Topic, member: Source) -> None:
    await topic.publish(b"a", b"b")
    last = (await taken(member, 2))[-1]
    await applied(topic, member, last)
    await member.stop()
    await topic.publish(b"c")
    successor = topic.member()
    await successor.start()
    assert [message.value for message in await taken(successor, 1)] == [b"c"]
    await successor.stop()


async def test_what_is_not_committed_comes_again(topic: Topic, member: Source) -> None:
    await topic.publish(b"a", b"b")
    first = (await taken(member, 2))[0]
    await applied(topic, member, first)
    await member.stop()
    successor = topic.member()
    await successor.start()
    assert [message.value for message in await taken(successor, 1)] == [b"b"]
    await successor.stop()


async def test_standings_tell_what_is_committed_and_where_the_end_is(topic: Topic, member: Source) -> None:
    await topic.publish(b"a", b"b", b"c")
    second = (await taken(member, 3))[1]
    await applied(topic, member, second)
    expected = Standing(second.offset + 1, second.offset + 2)
    async with asyncio.timeout(DEADLINE_S):
        while member.standings().get(second.partition) != expected:
            await member.poll(0.2)


async def gone_to(source: Source, offset: int) -> list[Message]:
    """The messages until everything before ``offset`` of their one partition is polled."""
    messages: list[Message] = []
    reached = -1
    async with asyncio.timeout(DEADLINE_S):
        while reached < offset:
            polled = await source.poll(0.2)
            messages += polled.messages
            assert polled.spans.keys() >= {message.partition for message in polled.messages}
            reached = max([reached, *(span.end for span in polled.spans.values())])
    assert reached == offset
    return messages


@pytest.mark.real_broker
@pytest.mark.parametrize("commit", [True, False], ids=["committed", "aborted"])
async def test_a_transaction_is_gone_past(topic: Topic, member: Source, commit: bool) -> None:  # noqa: FBT001
    """What ends it takes an offset and is no message: else the member would stand before that for ever."""
    await topic.publish(b"a")
    (first,) = await taken(member, 1)
    transaction = await topic.open_transaction(b"b")
    await transaction(commit=commit)
    # The message of the transaction, and its end.
    end = first.offset + 3
    messages = await gone_to(member, end)
    assert [message.value for message in messages] == ([b"b"] if commit else [])
    await topic.checkpoints.advance({first.partition: Span(first.offset, end)}, ())
    await member.commit({first.partition: end})
    async with asyncio.timeout(DEADLINE_S):
        while member.standings().get(first.partition) != Standing(end, end):
            await member.poll(0.2)


@pytest.mark.real_broker
async def test_what_follows_an_open_transaction_waits_and_is_no_lag(topic: Topic, member: Source) -> None:
    """The member has all there is to be read; but it is not as fresh as the end of the topic."""
    await topic.publish(b"a")
    (first,) = await taken(member, 1)
    await applied(topic, member, first)
    transaction = await topic.open_transaction(b"b")
    await topic.publish(b"c")
    behind = first.offset + 3
    async with asyncio.timeout(DEADLINE_S):
        while member.snapshot is None or member.snapshot.ends[first.partition] != behind:
            assert not await member.poll(0.2)
    assert member.standings()[first.partition] == Standing(first.offset + 1, first.offset + 1)
    await transaction(commit=True)
    assert [message.value for message in await gone_to(member, behind + 1)] == [b"b", b"c"]


async def test_a_look_tells_the_ends_that_there_were_when_it_was_taken(topic: Topic, member: Source) -> None:
    await topic.publish(b"a", b"b")
    last = (await taken(member, 2))[-1]
    begun_ms = time.time_ns() // 1_000_000
    if isinstance(member, MemorySource):
        member.clock_ms = begun_ms
    async with asyncio.timeout(DEADLINE_S):
        while member.snapshot is None or member.snapshot.asked_ms < begun_ms:
            await member.poll(0.2)
    assert member.snapshot.asked_ms <= time.time_ns() // 1_000_000
    assert member.snapshot.ends[last.partition] == last.offset + 1
    assert member.snapshot.partitions == (1 if isinstance(member, MemorySource) else PARTITIONS)


async def test_a_member_that_is_not_started_is_not_connected(topic: Topic) -> None:
    with pytest.raises(BrokerUnavailable):
        await topic.member().check()


async def test_a_member_that_is_started_is_connected(member: Source) -> None:
    await member.check()


async def test_a_paused_poll_takes_nothing_and_loses_nothing(topic: Topic, member: Source) -> None:
    await topic.publish(b"a")
    await taken(member, 1)
    await topic.publish(b"b", b"c")
    for _ in range(5):
        assert not (await member.poll(0.05, paused=True)).messages
    assert [message.value for message in await taken(member, 2)] == [b"b", b"c"]


async def test_commits_never_go_back(topic: Topic, member: Source) -> None:
    await topic.publish(b"a", b"b")
    first, second = await taken(member, 2)
    await applied(topic, member, second)
    await applied(topic, member, first)
    await member.stop()
    await topic.publish(b"c")
    successor = topic.member()
    await successor.start()
    assert [message.value for message in await taken(successor, 1)] == [b"c"]
    await successor.stop()


async def test_what_the_store_has_lost_comes_again_to_the_next_member(topic: Topic, member: Source) -> None:
    await topic.publish(b"a", b"b", b"c")
    messages = await taken(member, 3)
    await applied(topic, member, messages[2])
    await member.stop()
    topic.checkpoints.stored[messages[1].partition] = messages[1].offset
    successor = topic.member()
    await successor.start()
    assert [message.value for message in await taken(successor, 2)] == [b"b", b"c"]
    await successor.stop()


async def test_a_store_that_knows_nothing_gets_everything_again(topic: Topic, member: Source) -> None:
    await topic.publish(b"a", b"b")
    await applied(topic, member, (await taken(member, 2))[1])
    await member.stop()
    topic.checkpoints.stored.clear()
    successor = topic.member()
    await successor.start()
    (message, _) = await taken(successor, 2)
    assert message.value == b"a"
    assert topic.checkpoints.stored[message.partition] == message.offset
    await successor.stop()


async def test_a_member_goes_back_to_what_the_store_has(topic: Topic, member: Source) -> None:
    await topic.publish(b"a", b"b", b"c")
    messages = await taken(member, 3)
    await applied(topic, member, messages[2])
    partition, second = messages[1].partition, messages[1].offset
    topic.checkpoints.stored[partition] = second
    await member.rewind()
    assert member.positions[partition] == second
    async with asyncio.timeout(DEADLINE_S):
        polled = await member.poll(0.2)
        while not polled.messages:
            polled = await member.poll(0.2)
    assert polled.spans[partition].begin == second
    # The broker may give them one by one.
    rest = await taken(member, 2 - len(polled.messages)) if len(polled.messages) < 2 else []
    assert [message.value for message in (*polled.messages, *rest)] == [b"b", b"c"]


async def test_the_next_member_begins_where_one_went_back_to(topic: Topic, member: Source) -> None:
    """By what is committed too, so that the lag that the broker knows is what is missing."""
    await topic.publish(b"a", b"b")
    first, second = await taken(member, 2)
    await applied(topic, member, second)
    topic.checkpoints.stored[first.partition] = first.offset
    await member.rewind()
    await member.commit({})
    await member.stop()
    topic.checkpoints.stored[first.partition] = second.offset + 1
    successor = topic.member()
    await successor.start()
    assert [message.value for message in await taken(successor, 2)] == [b"a", b"b"]
    await successor.stop()


@pytest.mark.real_broker
async def test_a_topic_that_is_made_anew_is_read_from_its_beginning(topic: Topic, member: Source) -> None:
    """And what is committed in it counts, although that is less than in the former topic."""
    await topic.publish(b"a", b"b", b"c")
    last = (await taken(member, 3))[-1]
    await applied(topic, member, last)
    former_epoch = member.epochs[last.partition]
    await topic.make_anew()
    await topic.publish(b"d")
    (message,) = await taken_in_spite_of_errors(member, 1)
    assert (message.value, message.partition, message.offset) == (b"d", last.partition, 0)
    assert member.epochs[last.partition] != former_epoch
    assert topic.checkpoints.stored[last.partition] == 0
    await applied(topic, member, message)
    await member.stop()
    await topic.publish(b"e")
    successor = topic.member()
    await successor.start()
    assert [message.value for message in await taken(successor, 1)] == [b"e"]
    await successor.stop()


async def test_a_partition_is_not_read_before_the_checkpoints_are(topic: Topic) -> None:
    await topic.publish(b"a", b"b")
    member = topic.member()
    topic.checkpoints.failures = [StoreUnavailable("connection", "down")] * 3
    await until_it_succeeds(member.start)
    messages: list[Message] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(messages) < 2:
            messages += (await until_it_succeeds(lambda: member.poll(0.2))).messages
            assert not (messages and topic.checkpoints.failures)
    assert [message.value for message in messages] == [b"a", b"b"]
    await member.stop()


async def taken_in_spite_of_errors(source: Source, count: int) -> list[Message]:
    """As :func:`taken`, by a caller that polls again after errors that pass."""
    messages: list[Message] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(messages) < count:
            messages += (await until_it_succeeds(lambda: source.poll(0.2))).messages
    return messages


async def until_it_succeeds(call: Callable[[], Awaitable[T]]) -> T:
    """As a collector calls its source."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with contextlib.suppress(RecoverableError):
                return await call()
