"""The edge to the dead-letter topic: events that break the contract, kept as they came and with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.errors import InvalidEventError
    from replog.kafka import KafkaProducer
    from replog_collector.source import Message

#: Headers that a dead letter has beside its own.
ERROR, TOPIC, PARTITION, OFFSET = "replog.error", "replog.topic", "replog.partition", "replog.offset"


class DeadLetter(NamedTuple):
    """A message that is no valid event, and why."""

    message: Message
    error: InvalidEventError


class DeadLetters(Protocol):
    """Where dead letters go."""

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Return once all ``letters`` are acknowledged. Raises BrokerUnavailable: send them all again."""


class DeadLetterTopic:
    """:class:`DeadLetters` on a Kafka topic."""

    def __init__(self, producer: KafkaProducer, *, source_topic: str) -> None:
        self._producer = producer
        self._source_topic = source_topic

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """As the protocol says."""
        acknowledgements = [
            await self._producer.send(letter.message.key, letter.message.value, self._headers(letter))
            for letter in letters
        ]
        for acknowledgement in acknowledgements:
            await self._producer.acknowledged(acknowledgement)

    def _headers(self, letter: DeadLetter) -> list[tuple[str, bytes]]:
        message = letter.message
        return [
            *message.headers,
            (ERROR, str(letter.error).encode("utf-8", "replace")),
            (TOPIC, self._source_topic.encode()),
            (PARTITION, b"%d" % message.partition),
            (OFFSET, b"%d" % message.offset),
        ]
