"""Letters of what could not be read: a client sends no message that has neither key nor value."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

import pytest

from replog_collector.kafka.dead_letters import DeadLetter
from replog_collector.kafka.produce.dead_letter_topic import DeadLetterTopic
from replog_collector.kafka.source import Unreadable


class Producer:
    """Acknowledges at once what aiokafka would send."""

    topic = "t.dlq"

    def __init__(self) -> None:
        self.sent: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = []

    async def send(self, key: bytes | None, value: bytes | None, headers: Any) -> asyncio.Future[Any]:
        assert not (key is None and value is None)
        self.sent.append((key, value, headers))
        return asyncio.get_running_loop().create_future()

    async def acknowledged(self, acknowledgement: asyncio.Future[Any]) -> None:
        acknowledgement.cancel()


@pytest.mark.parametrize(
    ("key", "value", "sent"), [(None, None, b""), (b"k", None, None), (None, b"v", b"v"), (b"k", b"v", b"v")]
)
async def test_a_letter_has_what_could_be_read(key: bytes | None, value: bytes | None, sent: bytes | None) -> None:
    producer: Any = Producer()
    unreadable = Unreadable(3, 7, "a name", key=key, value=value, headers=[("a", None)])
    topic = DeadLetterTopic(producer, source_topic="t", clock=lambda: 0)
    await topic.send([DeadLetter(unreadable, "unreadable", "a name")])
    ((sent_key, sent_value, headers),) = producer.sent
    assert (sent_key, sent_value) == (key, sent)
    assert list(headers) == [
        ("a", None),
        ("replog.reason", b"unreadable"),
        ("replog.error", b"a name"),
        ("replog.topic", b"t"),
        ("replog.partition", b"3"),
        ("replog.offset", b"7"),
        ("replog.dead_at", b"1970-01-01T00:00:00.000000Z"),
        ("replog.version", version("replog").encode()),
    ]
