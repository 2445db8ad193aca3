"""The edge to the dead-letter topic: events of no use to the store, kept as they came and with the reason."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from replog.errors import BrokerUnavailable, MessageTooLargeError
from replog.letters import ERROR, KEPT_BYTES, OFFSET, PARTITION, TOPIC, VALUE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.kafka import KafkaProducer
    from replog_collector.source import Message

#: How long connecting, or the dead letters of one batch, may take; and disconnecting at the end.
SEND_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0


class DeadLetter(NamedTuple):
    """A message that is no valid event, or that the store refuses: ``reason`` is a short stable word."""

    message: Message
    reason: str
    error: str


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
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._producer.start()
        except TimeoutError:
            raise BrokerUnavailable(f"no broker let a producer in within {SEND_TIMEOUT_S:g} s") from None

    async def stop(self) -> None:
        """Disconnect; what is not acknowledged by then is given up."""
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._producer.stop()
        except TimeoutError:
            await self._producer.abort()

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """As the protocol says."""
        # The client tries without end; who calls wants to know that the topic is not to be had.
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._send(letters)
        except TimeoutError:
            topic = self._producer.topic
            raise BrokerUnavailable(
                f"the dead-letter topic {topic} took nothing in {SEND_TIMEOUT_S:g} s, and may not exist"
            ) from None

    async def _send(self, letters: Sequence[DeadLetter]) -> None:
        # All are awaited: an answer that nobody took would be reported as an error of its own.
        answers = await asyncio.gather(*(self._send_whole(letter) for letter in letters), return_exceptions=True)
        too_large = [
            letter for letter, answer in zip(letters, answers, strict=True) if isinstance(answer, MessageTooLargeError)
        ]
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, MessageTooLargeError):
                raise answer
        # One that is too large takes others of its Kafka batch with it; each by itself, that only the culprit is cut.
        for letter in too_large:
            await self._send_alone(letter)

    async def _send_whole(self, letter: DeadLetter) -> None:
        await self._producer.acknowledged(await self._begin(letter, letter.message.value))

    async def _send_alone(self, letter: DeadLetter) -> None:
        value = letter.message.value or b""
        try:
            await self._send_whole(letter)
        except MessageTooLargeError:
            await self._send_cut(letter, value)

    async def _send_cut(self, letter: DeadLetter, value: bytes) -> None:
        size = (VALUE_BYTES, b"%d" % len(value))
        try:
            await self._producer.acknowledged(await self._begin(letter, value[:KEPT_BYTES], size))
        except MessageTooLargeError as error:
            # Nothing is dropped: the partition waits until somebody raises the topic's limit.
            raise BrokerUnavailable(f"the dead-letter topic takes not even {KEPT_BYTES} bytes: {error}") from error

    async def _begin(self, letter: DeadLetter, value: bytes | None, *more: tuple[str, bytes]) -> asyncio.Future[Any]:
        return await self._producer.send(letter.message.key, value, [*self._headers(letter), *more])

    def _headers(self, letter: DeadLetter) -> list[tuple[str, bytes]]:
        message = letter.message
        return [
            *message.headers,
            (ERROR, letter.error.encode("utf-8", "replace")),
            (TOPIC, self._source_topic.encode()),
            (PARTITION, b"%d" % message.partition),
            (OFFSET, b"%d" % message.offset),
        ]
