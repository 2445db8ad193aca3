"""Questions about topics and the group: answered by real brokers, and as far as it can by the embedded one."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer

from replog.errors import BrokerRefused, BrokerUnavailable, TopicMissing
from replog.settings import CollectorSettings
from replog_collector.topics.administration import Administration
from replog_collector.topics.descriptions import GroupDescription, Member, PartitionOffsets, Replicas
from replog_repair.diagnosis.observing.lag_observation import newest_time, observe_lag
from replog_repair.diagnosis.unknown import Unknown
from tests.support import batches
from tests.support.services.kafka_admin import PARTITIONS
from tests.support.services.process import free_port
from tests.support.system import narrow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEADLINE_S = 30.0
NOON_MS = 1_700_000_000_000


@pytest.fixture
def settings(kafka_address: str, kafka_topic: str) -> CollectorSettings:
    return CollectorSettings(
        kafka_bootstrap_servers=kafka_address, kafka_topic=kafka_topic, kafka_group_id=f"g-{uuid.uuid4().hex}"
    )


@pytest.fixture
async def administration(settings: CollectorSettings) -> AsyncIterator[Administration]:
    async with Administration(settings, timeout_s=DEADLINE_S) as administration:
        yield administration


async def publish(settings: CollectorSettings, number: int, *times_ms: int) -> None:
    """Publish messages to a partition, dated so."""
    for time_ms in times_ms:
        data = batches.batch([batches.Raw(b"{}")], timestamp=time_ms)
        await batches.produce(settings.kafka_bootstrap_servers, settings.kafka_topic, number, data)


async def test_topics_are_described_and_none_is_made(
    administration: Administration, settings: CollectorSettings
) -> None:
    """The test's brokers make topics that somebody asks for."""
    missing = f"missing-{uuid.uuid4().hex}"
    for _ in range(2):
        found = await administration.topics([settings.kafka_topic, missing])
        assert found.keys() == {settings.kafka_topic}
    assert dict(found[settings.kafka_topic].partitions) == dict.fromkeys(range(PARTITIONS), Replicas(1, 1, led=True))


async def test_offsets(administration: Administration, settings: CollectorSettings) -> None:
    await publish(settings, 2, NOON_MS, NOON_MS)
    found = await administration.offsets(settings.kafka_group_id, settings.kafka_topic, [1, 2])
    assert found == {1: PartitionOffsets(0, 0, None), 2: PartitionOffsets(0, 2, None)}


async def test_lag_without_a_group(administration: Administration, settings: CollectorSettings) -> None:
    """Nobody has joined yet: everything waits, and the oldest message is dated."""
    await publish(settings, 0, NOON_MS, NOON_MS + 1000)
    await publish(settings, 3, NOON_MS + 2000)
    lag = await observe_lag(administration, settings, {}, answer_timeout_s=DEADLINE_S)
    assert [partition.lag for partition in lag.partitions] == [2, 0, 0, 1]
    assert [partition.oldest_ms for partition in lag.partitions] == [NOON_MS, None, None, NOON_MS + 2000]
    assert (lag.total, lag.age_s(NOON_MS + 5000), lag.committed) == (3, 5.0, False)
    assert await newest_time(settings, lag, answer_timeout_s=DEADLINE_S) == NOON_MS + 2000


async def test_the_age_is_of_what_is_not_applied(administration: Administration, settings: CollectorSettings) -> None:
    """From the checkpoint on, where the group has committed as much; here the store cannot be asked."""
    await publish(settings, 0, NOON_MS, NOON_MS + 1000, NOON_MS + 2000)
    unknown = Unknown("connection", "nobody there")
    lag = await observe_lag(administration, settings, unknown, answer_timeout_s=DEADLINE_S)
    assert (lag.total, lag.partitions[0].oldest_ms) == (3, NOON_MS)
    assert len(lag.notes) >= 1


async def test_lag_of_a_topic_that_is_not_there(administration: Administration, settings: CollectorSettings) -> None:
    missing = settings.model_copy(update={"kafka_topic": f"missing-{uuid.uuid4().hex}"})
    with pytest.raises(TopicMissing, match=missing.kafka_topic):
        await observe_lag(administration, missing, {}, answer_timeout_s=DEADLINE_S)
    assert await administration.topics([missing.kafka_topic]) == {}


async def test_what_a_broker_cannot_tell_is_refused(
    administration: Administration, settings: CollectorSettings, kafka: Any
) -> None:
    if kafka.kind != "embedded":
        pytest.skip("this broker tells everything")
    for question in (
        administration.settings(settings.kafka_topic),
        administration.group(settings.kafka_group_id, settings.kafka_topic),
    ):
        with pytest.raises(BrokerRefused) as refused:
            await question
        assert refused.value.kind == "unsupported"


async def test_a_broker_that_is_not_there() -> None:
    settings = CollectorSettings(kafka_bootstrap_servers=f"127.0.0.1:{free_port()}")
    with pytest.raises(BrokerUnavailable):
        async with Administration(settings, timeout_s=DEADLINE_S):
            pass


@pytest.mark.real_broker
async def test_settings_of_a_topic(administration: Administration, settings: CollectorSettings) -> None:
    """Also those that it has from its broker."""
    narrow(settings.kafka_bootstrap_servers, settings.kafka_topic, 70_000)
    async with asyncio.timeout(DEADLINE_S):
        while (found := await administration.settings(settings.kafka_topic)).max_message_bytes != 70_000:
            await asyncio.sleep(0.1)
    assert (found.min_insync_replicas, found.cleanup_policy, found.timestamp_type) == (1, "delete", "CreateTime")
    assert (found.retention_ms, found.retention_bytes) == (7 * 86_400_000, -1)


@pytest.mark.real_broker
async def test_a_group_and_what_it_has_committed(administration: Administration, settings: CollectorSettings) -> None:
    group, topic = settings.kafka_group_id, settings.kafka_topic
    assert await administration.group(group, topic) == GroupDescription("Dead", ())
    consumer: Any = AIOKafkaConsumer(
        topic, bootstrap_servers=settings.kafka_bootstrap_servers, group_id=group, client_id="somebody"
    )
    async with consumer, asyncio.timeout(DEADLINE_S):
        await consumer.getmany(timeout_ms=1000)
        while not (found := await administration.group(group, topic)).members[0].partitions:
            await asyncio.sleep(0.1)
        assert found == GroupDescription("Stable", (Member("somebody", "127.0.0.1", (0, 1, 2, 3)),))
        await publish(settings, 1, *[NOON_MS] * 5)
        await consumer.commit({TopicPartition(topic, 1): 3})
        lag = await observe_lag(administration, settings, {1: 4}, answer_timeout_s=DEADLINE_S)
    one = lag.partitions[1]
    assert (one.committed, one.position, one.end, one.lag) == (3, 4, 5, 2)
    assert one.owner is not None
    assert one.owner.client_id == "somebody"
    assert (await administration.group(group, topic)).state == "Empty"


@pytest.mark.real_broker
async def test_an_open_transaction_is_no_lag(administration: Administration, settings: CollectorSettings) -> None:
    """What cannot be read does not count; once it is committed, its transaction marker does."""
    producer = Producer(
        {"bootstrap.servers": settings.kafka_bootstrap_servers, "transactional.id": settings.kafka_topic}
    )
    producer.init_transactions(DEADLINE_S)
    producer.begin_transaction()
    producer.produce(settings.kafka_topic, b"{}", partition=0)
    producer.flush(DEADLINE_S)
    assert (await observe_lag(administration, settings, {}, answer_timeout_s=DEADLINE_S)).total == 0
    producer.commit_transaction(DEADLINE_S)
    # The broker writes the transaction marker some time after it has acknowledged the commit.
    async with asyncio.timeout(DEADLINE_S):
        while not (total := (await observe_lag(administration, settings, {}, answer_timeout_s=DEADLINE_S)).total):
            await asyncio.sleep(0.1)
    assert total == 2
