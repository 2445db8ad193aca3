"""A producer of a collector: connected, used and stopped within time limits."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Protocol

from replog.errors import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

#: Seconds that connecting or sending may take, and disconnecting at the end.
SEND_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 2.0


class Producer(Protocol):
    """The port to the producer: :class:`replog.publisher.kafka.KafkaProducer`."""

    @property
    def topic(self) -> str:
        """The topic that it sends to."""

    async def start(self) -> None:
        """Connect."""

    async def send(
        self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] = ()
    ) -> asyncio.Future[Any]:
        """Buffer one message; the future ends with the broker's answer. Raises MessageTooLargeError."""

    async def acknowledged(self, acknowledgement: asyncio.Future[Any]) -> None:
        """Return once the broker has acknowledged the message. Raises BrokerUnavailable, MessageTooLargeError."""

    async def stop(self) -> None:
        """Disconnect once all messages are acknowledged."""

    async def abort(self) -> None:
        """Disconnect now."""


class TimedProducer:
    """``producer``, which retries without end, with limits: ``timeout_s`` for connecting, and for what is sent at once.

    ``name`` says what the topic is for, in errors.
    """

    def __init__(self, producer: Producer, name: str, *, timeout_s: float, stop_timeout_s: float) -> None:
        self._producer = producer
        self._name = name
        self._timeout_s = timeout_s
        self._stop_timeout_s = stop_timeout_s

    @property
    def topic(self) -> str:
        """The topic, and what it is for."""
        return f"the {self._name} topic {self._producer.topic}"

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._producer.start()
        except TimeoutError:
            raise BrokerUnavailable(f"no broker let a producer in within {self._timeout_s:g} s") from None

    async def stop(self) -> None:
        """Disconnect; messages that are not acknowledged in time are dropped."""
        try:
            async with asyncio.timeout(self._stop_timeout_s):
                await self._producer.stop()
        except TimeoutError:
            await self._producer.abort()

    @contextlib.asynccontextmanager
    async def in_time(self) -> AsyncIterator[Producer]:
        """The producer, for a block that sends and awaits acknowledgements.

        Raises BrokerUnavailable where the block takes longer than the limit.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                yield self._producer
        except TimeoutError:
            raise BrokerUnavailable(f"{self.topic} took nothing in {self._timeout_s:g} s, and may not exist") from None
