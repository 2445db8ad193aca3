"""Messages put on a dead-letter topic as collectors put them there, and what tests ask of the topics."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from replog.publisher.kafka import KafkaProducer
from replog.settings import KafkaSettings
from replog_collector.kafka.dead_letters import DeadLetter
from replog_collector.kafka.produce.dead_letter_topic import DeadLetterTopic
from tests.support.fakes import FakeMessage
from tests.support.services.kafka_admin import PARTITIONS
from tests.support.terminal import piped

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from tests.support.streams import Event
    from tests.support.system import System

TIMEOUT_S = 30.0


def bury(system: System, events: Sequence[Event], *, reason: str = "refused", error: str = "as a test wants") -> None:
    """Put ``events`` on the dead-letter topic, as if a collector had refused them."""
    messages = [
        FakeMessage(json.dumps(event).encode(), partition=0, offset=number, key=event["recordId"].encode())
        for number, event in enumerate(events)
    ]
    bury_messages(system, messages, reason=reason, error=error)


def bury_messages(system: System, messages: Sequence[FakeMessage], *, reason: str, error: str) -> None:
    """The same for messages of any content."""
    asyncio.run(_send(system, [DeadLetter(message, reason, error) for message in messages]))


async def _send(system: System, letters: Sequence[DeadLetter]) -> None:
    settings = KafkaSettings(
        kafka_bootstrap_servers=system.variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"], kafka_topic=system.topic
    )
    producer = KafkaProducer(settings, settings.dead_letter_topic, idempotent=False)
    topic = DeadLetterTopic(producer, source_topic=system.topic)
    await topic.start()
    try:
        await topic.send(letters)
    finally:
        await topic.stop()


def ends(system: System, topic: str) -> dict[int, int]:
    """By partition of ``topic``, the offset after the last message."""
    servers = system.variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"]
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "none", "log_level": 0})
    try:
        return {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=TIMEOUT_S)[1]
            for number in range(PARTITIONS)
        }
    finally:
        consumer.close()


def _admin(system: System) -> AdminClient:
    return AdminClient({"bootstrap.servers": system.variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"], "log_level": 0})


def delete_events(system: System, offsets: dict[int, int]) -> None:
    """Delete the events before ``offsets``, by partition, as retention does."""
    admin = _admin(system)
    wanted = [TopicPartition(system.topic, number, offset) for number, offset in offsets.items()]
    for deleted in admin.delete_records(wanted).values():
        deleted.result(TIMEOUT_S)


def dlq(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of ``replog dlq`` with the settings of the system's collectors, once it has ended."""
    return piped("dlq", *arguments, **system.variables)


def lines(shown: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The JSON objects that a command printed, one a line."""
    return [json.loads(line) for line in shown.stdout.splitlines()]
