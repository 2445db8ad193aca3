"""The reader of a topic outside every group: what is there when it is asked, in order, and then an end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from replog.errors import BrokerUnavailable, TopicMissing
from replog.settings import CollectorSettings
from replog.store.write.offsets import Span
from replog_collector.kafka.source import Unreadable
from replog_collector.topics.reader import Progress, ReaderTimings, TopicReader
from tests.support import batches
from tests.support.own_broker import OwnBroker
from tests.support.services.kafka_admin import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from replog_collector.kafka.source import Message

DEADLINE_S = 30.0
MOST_BYTES = 1_000_000
#: A time of which retention deletes nothing yet.
NOON_MS = (int(time.time()) - 3600) * 1000


class Topic:
    """A topic whose messages are published to a partition, with a timestamp."""

    def __init__(self, settings: CollectorSettings) -> None:
        self.settings = settings
        self.name = settings.kafka_topic

    async def publish(self, number: int, *values: bytes, timestamp: int = NOON_MS) -> int:
        """Publish one batch; returns the offset of its first message."""
        messages = [batches.Raw(value) for value in values]
        return await self.publish_batch(number, batches.batch(messages, timestamp=timestamp))

    async def publish_batch(self, number: int, data: bytes) -> int:
        return await batches.produce(self.settings.kafka_bootstrap_servers, self.name, number, data)

    def transaction(self) -> Producer:
        """A producer that has begun a transaction."""
        producer = Producer({"bootstrap.servers": self.settings.kafka_bootstrap_servers, "transactional.id": self.name})
        producer.init_transactions(DEADLINE_S)
        producer.begin_transaction()
        return producer

    async def delete_before(self, number: int, offset: int) -> None:
        admin = AdminClient({"bootstrap.servers": self.settings.kafka_bootstrap_servers})
        for deleted in admin.delete_records([TopicPartition(self.name, number, offset)]).values():
            await asyncio.to_thread(deleted.result, DEADLINE_S)


@pytest.fixture
def topic(kafka_address: str, kafka_topic: str) -> Topic:
    return Topic(
        CollectorSettings(kafka_bootstrap_servers=kafka_address, kafka_topic=kafka_topic, max_batch_bytes=MOST_BYTES)
    )


@pytest.fixture
async def reader(topic: Topic) -> AsyncIterator[TopicReader]:
    async with TopicReader(topic.settings, topic.name, timings=ReaderTimings(poll_s=0.2, patience_s=20)) as reader:
        yield reader


async def read(reader: TopicReader, spans: Mapping[int, Span]) -> list[Message | Unreadable]:
    async with asyncio.timeout(DEADLINE_S):
        return [message async for messages in reader.read(spans) for message in messages]


def by_partition(messages: list[Message | Unreadable]) -> dict[int, list[bytes | None]]:
    found: dict[int, list[bytes | None]] = {}
    for message in messages:
        found.setdefault(message.partition, []).append(message.value)
    return found


async def test_all_partitions_are_read_to_their_ends_and_no_further(topic: Topic, reader: TopicReader) -> None:
    await topic.publish(0, b"a", b"b")
    await topic.publish(2, b"c")
    await topic.publish(0, b"d")
    spans = await reader.available()
    assert spans == {0: Span(0, 3), 1: Span(0, 0), 2: Span(0, 1), 3: Span(0, 0)}
    await topic.publish(0, b"later")
    await topic.publish(1, b"later")
    messages = await read(reader, spans)
    assert by_partition(messages) == {0: [b"a", b"b", b"d"], 2: [b"c"]}
    assert {(message.key, message.timestamp) for message in messages} == {(b"k", NOON_MS)}
    assert reader.progress == Progress(4, 4)
    assert reader.positions == {0: 3, 1: 0, 2: 1, 3: 0}


async def test_it_goes_on_where_it_ended(topic: Topic, reader: TopicReader) -> None:
    await topic.publish(0, b"a")
    await read(reader, await reader.available())
    await topic.publish(0, b"b")
    await topic.publish(3, b"c")
    spans = await reader.from_offsets(reader.positions)
    assert by_partition(await read(reader, spans)) == {0: [b"b"], 3: [b"c"]}


async def test_a_span_ends_within_a_batch(topic: Topic, reader: TopicReader) -> None:
    await topic.publish(1, b"a", b"b", b"c", b"d")
    messages = await read(reader, {1: Span(1, 3)})
    assert [(message.offset, message.value) for message in messages] == [(1, b"b"), (2, b"c")]
    assert reader.progress == Progress(2, 2)


async def test_offsets_that_do_not_exist_are_none_to_read(topic: Topic, reader: TopicReader) -> None:
    await topic.publish(0, b"a")
    spans = await reader.from_offsets({0: 7, 1: 7})
    assert (spans[0], spans[1]) == (Span(1, 1), Span(0, 0))
    assert await read(reader, spans) == []


async def test_an_empty_topic_ends_at_once(reader: TopicReader) -> None:
    assert await read(reader, await reader.available()) == []
    assert reader.progress == Progress(0, 0)


async def test_since_a_time(topic: Topic, reader: TopicReader, kafka: object) -> None:
    for minute in range(3):
        await topic.publish(0, b"%d" % minute, timestamp=NOON_MS + minute * 60_000)
    await topic.publish(1, b"early", timestamp=NOON_MS - 1)
    messages = await read(reader, await reader.since(NOON_MS + 60_000))
    late = [message.value for message in messages if message.timestamp >= NOON_MS + 60_000]
    assert late == [b"1", b"2"]


@pytest.mark.real_broker
async def test_a_broker_that_can_search_by_time_skips_what_is_older(topic: Topic, reader: TopicReader) -> None:
    for minute in range(3):
        await topic.publish(0, b"%d" % minute, timestamp=NOON_MS + minute * 60_000)
    await topic.publish(1, b"early", timestamp=NOON_MS - 1)
    spans = await reader.since(NOON_MS + 60_000)
    assert spans == {0: Span(1, 3), 1: Span(1, 1), 2: Span(0, 0), 3: Span(0, 0)}


@pytest.mark.parametrize("data", [batches.bomb(MOST_BYTES), batches.not_decompressing()], ids=["bomb", "damaged"])
async def test_what_cannot_be_read_comes_as_such(topic: Topic, reader: TopicReader, data: bytes) -> None:
    await topic.publish(0, b"a")
    await topic.publish_batch(0, data)
    await topic.publish(0, b"c")
    first, unreadable, last = await read(reader, await reader.available())
    assert (first.value, last.value) == (b"a", b"c")
    assert isinstance(unreadable, Unreadable)
    assert (unreadable.offset, unreadable.last) == (1, 3)


async def test_more_than_one_poll_takes(topic: Topic, reader: TopicReader) -> None:
    """The fetch limit of a partition is smaller than this."""
    value = b"x" * 500_000
    for _ in range(20):
        await topic.publish(0, value)
    spans = await reader.available()
    read_before = -1
    async with asyncio.timeout(DEADLINE_S):
        async for messages in reader.read(spans):
            assert messages
            assert reader.progress.read > read_before
            read_before = reader.progress.read
    assert reader.progress.read == reader.progress.total == spans[0].end - spans[0].begin


@pytest.mark.real_broker
@pytest.mark.parametrize("commit", [True, False], ids=["committed", "aborted"])
async def test_a_transaction_at_the_end_is_gone_past(topic: Topic, reader: TopicReader, commit: bool) -> None:  # noqa: FBT001
    await topic.publish(0, b"a")
    producer = await asyncio.to_thread(topic.transaction)
    producer.produce(topic.name, b"b", partition=0)
    await asyncio.to_thread(producer.flush, DEADLINE_S)
    await asyncio.to_thread(producer.commit_transaction if commit else producer.abort_transaction, DEADLINE_S)
    messages = await read(reader, await reader.available())
    assert [message.value for message in messages] == [b"a", b"b"][: 1 + commit]
    assert reader.progress == Progress(3, 3)


@pytest.mark.real_broker
async def test_an_open_transaction_is_not_waited_for(topic: Topic, reader: TopicReader) -> None:
    await topic.publish(0, b"a")
    producer = await asyncio.to_thread(topic.transaction)
    producer.produce(topic.name, b"b", partition=0)
    await asyncio.to_thread(producer.flush, DEADLINE_S)
    await topic.publish(0, b"c")
    assert by_partition(await read(reader, await reader.available())) == {0: [b"a"]}
    await asyncio.to_thread(producer.abort_transaction, DEADLINE_S)


@pytest.mark.real_broker
async def test_what_is_deleted_meanwhile_is_counted(topic: Topic, reader: TopicReader) -> None:
    for value in (b"a", b"b", b"c"):
        await topic.publish(0, value)
    spans = await reader.available()
    await topic.delete_before(0, 2)
    assert by_partition(await read(reader, spans)) == {0: [b"c"]}
    assert reader.skipped == 2


@pytest.mark.real_broker
async def test_reading_ends_where_all_is_deleted_meanwhile(topic: Topic, reader: TopicReader) -> None:
    await topic.publish(0, b"a", b"b")
    spans = await reader.available()
    await topic.delete_before(0, 2)
    assert await read(reader, spans) == []
    assert (reader.skipped, reader.progress) == (2, Progress(2, 2))


async def test_a_topic_that_does_not_exist_is_not_made(topic: Topic) -> None:
    missing = f"{topic.name}.missing"
    async with TopicReader(topic.settings, missing) as reader:
        with pytest.raises(TopicMissing, match=missing):
            await reader.available()
        with pytest.raises(TopicMissing):
            await reader.since(NOON_MS)


async def test_a_broker_that_is_gone_ends_the_reading(tmp_path: Path) -> None:
    async with OwnBroker.started(tmp_path) as broker:
        settings = CollectorSettings(**broker.settings.model_dump(exclude_none=True))
        timings = ReaderTimings(answer_s=0.5, poll_s=0.1, patience_s=1)
        await batches.produce(
            settings.kafka_bootstrap_servers, settings.kafka_topic, 0, batches.batch([batches.Raw(b"a")])
        )
        async with asyncio.timeout(DEADLINE_S), TopicReader(settings, settings.kafka_topic, timings=timings) as reader:
            spans = await reader.available()
            await broker.stop()
            with pytest.raises(BrokerUnavailable, match=settings.kafka_bootstrap_servers):
                await read(reader, spans)
        with pytest.raises(BrokerUnavailable):
            async with TopicReader(settings, settings.kafka_topic, timings=timings):
                pass


async def test_all_numbers_of_partitions_are_told(reader: TopicReader) -> None:
    assert len(await reader.available()) == PARTITIONS
