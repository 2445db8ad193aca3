"""The edge to the dead-letter topic: sends letters, cut to a size that the topic accepts."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from importlib.metadata import version
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from replog.errors import BrokerUnavailable, MessageTooLargeError
from replog.letters import LIMITS, Cause, Letter, Origin, Original
from replog.times import format_time_us

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from replog_collector.kafka.dead_letters import DeadLetter

#: Seconds that connecting or sending may take, and disconnecting at the end.
SEND_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 2.0
#: Letters up to this size are sent together: one request may hold those of many partitions.
TOGETHER_BYTES = 1024 * 1024


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


class DeadLetterTopic:
    """:class:`~replog_collector.kafka.dead_letters.DeadLetters` on a Kafka topic.

    ``timeout_s`` limits connecting, and the sending of one letter or of those that are sent together. ``clock`` gives
    nanoseconds since 1970.
    """

    def __init__(
        self,
        producer: Producer,
        *,
        source_topic: str,
        timeout_s: float = SEND_TIMEOUT_S,
        stop_timeout_s: float = STOP_TIMEOUT_S,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._producer = producer
        self._source_topic = source_topic
        self._timeout_s = timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._clock = clock
        self._version = version("replog")

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

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Return once all ``letters`` are acknowledged. A letter that the topic refuses for its size is cut.

        Raises:
            BrokerUnavailable: send them all again.
        """
        originals = [self._original(letter) for letter in letters]
        # A request has a size limit, too, and may hold several letters.
        together = [original for original in originals if original.whole.size <= TOGETHER_BYTES]
        alone = [original for original in originals if original.whole.size > TOGETHER_BYTES]
        refused_bytes = math.inf
        for original in [*await self._send_together(together), *alone]:
            refused_bytes = await self._send_alone(original, refused_bytes)

    async def _send_together(self, originals: Sequence[Original]) -> list[Original]:
        """Send; returns those refused for size, either their own or that of the Kafka batch they were in."""
        # All are awaited: asyncio would log an error that nobody retrieved.
        async with self._in_time():
            answers = await asyncio.gather(
                *(self._send_one(original.whole) for original in originals), return_exceptions=True
            )
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, MessageTooLargeError):
                raise answer
        return [original for original, answer in zip(originals, answers, strict=True) if answer]

    async def _send_alone(self, original: Original, refused_bytes: float) -> float:
        """Send a letter, cut to the largest size that the topic accepts; it is known to refuse ``refused_bytes``.

        Returns the smallest size that it is now known to refuse, so that each size is tried once.
        """
        for letter in chain([original.whole], map(original.cut, LIMITS)):
            if letter.size >= refused_bytes:
                continue
            try:
                async with self._in_time():
                    await self._send_one(letter)
            except MessageTooLargeError:
                refused_bytes = letter.size
            else:
                return refused_bytes
        # Nothing is dropped: the partition waits until the topic's limit is raised.
        raise BrokerUnavailable(
            f"the dead-letter topic {self._producer.topic} takes not even a letter of {letter.size} bytes"
        )

    async def _send_one(self, letter: Letter) -> None:
        await self._producer.acknowledged(await self._producer.send(*letter))

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        # The client retries without end; the caller needs to know that the topic does not answer.
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError:
            raise BrokerUnavailable(
                f"the dead-letter topic {self._producer.topic} took nothing in {self._timeout_s:g} s, and may not exist"
            ) from None

    def _original(self, letter: DeadLetter) -> Original:
        message = letter.message
        origin = Origin(self._source_topic, message.partition, message.offset)
        cause = Cause(letter.reason, letter.error, format_time_us(self._clock() // 1000), self._version)
        return Original(message.key, message.value, message.headers, cause=cause, origin=origin)
