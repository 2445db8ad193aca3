"""Deletion of the oldest messages of a topic (Kafka's DeleteRecords)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError, PolicyViolationError, TopicAuthorizationFailedError

from replog.errors import BrokerUnavailable, FatalError
from replog.publisher.kafka_client import client_options, connected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replog.settings import KafkaSettings

#: Seconds that connecting and deleting may take.
TIMEOUT_S = 30.0


async def delete_before(
    settings: KafkaSettings, topic: str, offsets: Mapping[int, int], *, timeout_s: float = TIMEOUT_S
) -> dict[int, int]:
    """Delete all messages before ``offsets``, by partition; returns the first offsets that are left.

    Raises:
        AuthenticationFailed: the brokers that answer do not let this process in, or are not trusted.
        BrokerUnavailable: the broker does not answer; some partitions may be done.
        FatalError: the broker refuses: this user may not DELETE, or the topic is compacted only.
    """
    servers = settings.kafka_bootstrap_servers
    admin: Any = AIOKafkaAdminClient(**client_options(settings))
    wanted = {TopicPartition(topic, number): RecordsToDelete(offset) for number, offset in offsets.items()}
    try:
        async with asyncio.timeout(timeout_s):
            await connected(admin.start, settings)
            left = await admin.delete_records(wanted, timeout_ms=int(timeout_s * 1000))
    except TopicAuthorizationFailedError as error:
        raise FatalError(f"Kafka at {servers}: this user needs the right DELETE on {topic}") from error
    except PolicyViolationError as error:
        raise FatalError(
            f"Kafka at {servers}: {topic} is compacted only; set its cleanup.policy to delete or compact,delete"
        ) from error
    except (KafkaError, TimeoutError) as error:
        raise BrokerUnavailable(f"Kafka at {servers}: {str(error) or type(error).__name__}") from error
    finally:
        await admin.close()
    return {partition.partition: offset for partition, offset in left.items()}
