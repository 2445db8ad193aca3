"""The port of a notifier to its topic: a new group begins with the oldest; what is not committed comes again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import pytest

from replog.errors import BrokerUnavailable
from replog.publisher.kafka import KafkaProducer
from replog.settings import KafkaSettings
from replog_collector.topics.group_reader import GroupReader
from tests.support.fakes import FakeMessage, MemoryGroup, MemoryGroupReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from replog_collector.kafka.source import Message, Unreadable

DEADLINE_S = 60.0


class Reader(Protocol):
    """The port, and its end."""

    assignment: int

    async def poll(self, timeout_s: float) -> list[Message | Unreadable]: ...

    def done(self, message: Message | Unreadable) -> None: ...

    async def commit(self) -> None: ...

    async def stop(self) -> None: ...


class Topic(Protocol):
    """A topic, of which all that is published is one partition's, and a group."""

    async def publish(self, *values: bytes) -> None: ...

    def member(self) -> Reader: ...


class InMemory:
    def __init__(self) -> None:
        self.group = MemoryGroup()

    async def publish(self, *values: bytes) -> None:
        for value in values:
            self.group.messages.append(FakeMessage(value, offset=len(self.group.messages)))

    def member(self) -> Reader:
        return MemoryGroupReader(self.group)


class InKafka:
    def __init__(self, address: str, topic: str) -> None:
        self.settings = KafkaSettings(kafka_bootstrap_servers=address)
        self.topic = topic

    async def publish(self, *values: bytes) -> None:
        producer = KafkaProducer(self.settings, self.topic)
        await producer.start()
        for value in values:
            await producer.acknowledged(await producer.send(b"k", value))
        await producer.stop()

    def member(self) -> Reader:
        return GroupReader(self.settings, self.topic, f"{self.topic}.notify")


@pytest.fixture(params=["memory", "kafka"])
async def topic(request: pytest.FixtureRequest) -> AsyncIterator[Topic]:
    if request.param == "memory":
        yield InMemory()
    else:
        address: str = request.getfixturevalue("kafka_address")
        yield InKafka(address, request.getfixturevalue("kafka_topic"))


async def read(member: Reader, number: int) -> list[Message | Unreadable]:
    """The next messages, that many."""
    found: list[Message | Unreadable] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < number:
            try:
                found += await member.poll(0.2)
            except BrokerUnavailable:
                await asyncio.sleep(0.1)
    return found


async def test_a_new_group_begins_with_the_oldest_message(topic: Topic) -> None:
    await topic.publish(b"1", b"2", b"3")
    member = topic.member()
    assert [message.value for message in await read(member, 3)] == [b"1", b"2", b"3"]
    await member.stop()


async def test_what_is_not_committed_comes_again(topic: Topic) -> None:
    """To the next member; and nothing else does."""
    await topic.publish(b"1", b"2", b"3")
    first = topic.member()
    messages = await read(first, 3)
    first.done(messages[0])
    await first.commit()
    first.done(messages[1])
    await first.stop()
    second = topic.member()
    again = await read(second, 2)
    assert [message.value for message in again] == [b"2", b"3"]
    second.done(again[1])
    await second.commit()
    await second.stop()
    await topic.publish(b"4")
    third = topic.member()
    assert [message.value for message in await read(third, 1)] == [b"4"]
    await third.stop()


async def test_each_assignment_has_a_number(topic: Topic) -> None:
    await topic.publish(b"1")
    member = topic.member()
    await read(member, 1)
    before = member.assignment
    await member.stop()
    await read(member, 1)
    assert member.assignment > before
    await member.stop()
