"""Where a member goes on when the topic no longer has what it was to read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from prometheus_client import REGISTRY

from replog.publisher.kafka import KafkaProducer
from replog.settings import CollectorSettings
from replog_collector.kafka.group.consumer import KafkaSource
from tests.support.fakes import MemoryCheckpoints

if TYPE_CHECKING:
    from replog_collector.kafka.source import Message

DEADLINE_S = 30.0


async def give_up() -> None:
    """Nothing is in hand."""


@pytest.mark.real_broker
async def test_a_position_that_retention_passed_is_counted_and_left(kafka_address: str, kafka_topic: str) -> None:
    """While the member runs, and not only when it is assigned the partition."""
    settings = CollectorSettings(
        kafka_bootstrap_servers=kafka_address, kafka_topic=kafka_topic, kafka_group_id=kafka_topic
    )
    before = skipped()
    checkpoints = MemoryCheckpoints()
    source = KafkaSource(settings, checkpoints, revoking=give_up, assigned=lambda _: None)
    await source.start()
    try:
        await publish(settings, b"a", b"b", b"c")
        number = (await taken(source, 3))[-1].partition
        await delete_before(kafka_address, TopicPartition(kafka_topic, number), 2)
        source._membership.consumer.seek(TopicPartition(kafka_topic, number), 0)
        assert [message.value for message in await taken(source, 1)] == [b"c"]
        assert (checkpoints.stored[number], source.positions[number]) == (2, 2)
    finally:
        await source.stop()
    assert skipped() == before + 2


def skipped() -> float:
    return REGISTRY.get_sample_value("replog_offsets_skipped_total") or 0.0


async def publish(settings: CollectorSettings, *values: bytes) -> None:
    producer = KafkaProducer(settings, settings.kafka_topic)
    await producer.start()
    for value in values:
        await producer.acknowledged(await producer.send(b"k", value))
    await producer.stop()


async def taken(source: KafkaSource, count: int) -> list[Message]:
    messages: list[Message] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(messages) < count:
            messages += (await source.poll(0.2)).messages
    return messages


async def delete_before(address: str, partition: TopicPartition, offset: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.delete_records({partition: RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


@pytest.mark.real_broker
async def test_a_store_that_was_emptied_gets_what_the_topic_has_and_nothing_counts_as_missed(
    kafka_address: str, kafka_topic: str
) -> None:
    settings = CollectorSettings(
        kafka_bootstrap_servers=kafka_address, kafka_topic=kafka_topic, kafka_group_id=kafka_topic
    )
    checkpoints = MemoryCheckpoints()
    source = KafkaSource(settings, checkpoints, revoking=give_up, assigned=lambda _: None)
    await source.start()
    try:
        await publish(settings, b"a", b"b", b"c")
        number = (await taken(source, 3))[-1].partition
        await source.commit({number: 3})
        await delete_before(kafka_address, TopicPartition(kafka_topic, number), 2)
        before = skipped()
        checkpoints.stored.clear()
        await source.rewind()
        assert [message.value for message in await taken(source, 1)] == [b"c"]
        assert (checkpoints.stored[number], skipped()) == (2, before)
    finally:
        await source.stop()
