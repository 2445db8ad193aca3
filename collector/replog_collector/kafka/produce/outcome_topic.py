"""The edge to the outcomes topic: sends CloudEvents in Kafka's binary mode."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from cloudevents.core.bindings.kafka import to_binary_event

from replog.errors import BrokerUnavailable, MessageTooLargeError
from replog_collector.kafka.produce.timed_producer import SEND_TIMEOUT_S, STOP_TIMEOUT_S, TimedProducer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloudevents.core.base import BaseCloudEvent

    from replog_collector.kafka.produce.timed_producer import Producer


class _Message(NamedTuple):
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class OutcomeTopic:
    """The destination of outcomes.

    ``timeout_s`` limits connecting, and the sending of those that are sent together.
    """

    def __init__(
        self, producer: Producer, *, timeout_s: float = SEND_TIMEOUT_S, stop_timeout_s: float = STOP_TIMEOUT_S
    ) -> None:
        self._producer = TimedProducer(producer, "outcomes", timeout_s=timeout_s, stop_timeout_s=stop_timeout_s)
        self._connected = False

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""
        await self._producer.start()
        self._connected = True

    async def stop(self) -> None:
        """Disconnect; messages that are not acknowledged in time are dropped."""
        await self._producer.stop()

    async def send(self, events: Sequence[BaseCloudEvent]) -> None:
        """Return once all ``events`` are acknowledged. Those of one key stay in order.

        Raises:
            BrokerUnavailable: send them all again.
        """
        if not self._connected:
            raise BrokerUnavailable(f"not connected to {self._producer.topic} yet")
        messages = [_message_of(event) for event in events]
        for message in await self._send_together(messages):
            # Kafka's batches have a size limit as well. By itself the message may fit.
            if await self._send_together([message]):
                # Nothing is dropped: the partition waits until the topic's limit is raised.
                raise BrokerUnavailable(f"{self._producer.topic} takes no message of {len(message.value)} bytes")

    async def _send_together(self, messages: Sequence[_Message]) -> list[_Message]:
        """Send; returns those refused for the size of their Kafka batch."""
        async with self._producer.in_time() as producer:
            answers = await _buffered(producer, messages)
            results = await asyncio.gather(*map(producer.acknowledged, answers), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, MessageTooLargeError):
                raise result
        return [message for message, result in zip(messages, results, strict=True) if result]


async def _buffered(producer: Producer, messages: Sequence[_Message]) -> list[asyncio.Future[Any]]:
    """Hand ``messages`` to the producer one after the other, which keeps their order; returns the acknowledgements."""
    answers: list[asyncio.Future[Any]] = []
    try:
        for message in messages:
            answers.append(await producer.send(*message))  # noqa: PERF401 - needed also where one of them fails
    except BaseException:
        for answer in answers:
            answer.add_done_callback(_retrieve)
        raise
    return answers


def _retrieve(answer: asyncio.Future[Any]) -> None:
    """Take the error of an acknowledgement that nobody awaits, so that asyncio does not log it."""
    if not answer.cancelled():
        answer.exception()


def _message_of(event: BaseCloudEvent) -> _Message:
    message = to_binary_event(event)
    key = message.key or b""
    return _Message(key if isinstance(key, bytes) else key.encode(), message.value, tuple(message.headers.items()))
