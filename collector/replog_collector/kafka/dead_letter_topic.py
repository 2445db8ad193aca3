"""The edge to the dead-letter topic."""

from __future__ import annotations

import asyncio
import contextlib
import math
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from replog.errors import BrokerUnavailable, MessageTooLargeError
from replog.letters import LIMITS, Letter, Origin, Original

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from replog_collector.kafka.dead_letters import DeadLetter

#: How long connecting or sending may take; and disconnecting at the end.
SEND_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 2.0
#: Letters up to this size are sent together: those of many partitions may come to lie in one request.
TOGETHER_BYTES = 1024 * 1024


class Producer(Protocol):
    """What sends them: :class:`replog.publisher.kafka.KafkaProducer`, or a test's double."""

    @property
    def topic(self) -> str:
        """Where its messages go."""

    async def start(self) -> None:
        """Connect."""

    async def send(
        self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] = ()
    ) -> asyncio.Future[Any]:
        """Buffer one message; the result ends with the broker's answer. Raises MessageTooLargeError."""

    async def acknowledged(self, acknowledgement: asyncio.Future[Any]) -> None:
        """Return once the broker has acknowledged it. Raises BrokerUnavailable, MessageTooLargeError."""

    async def stop(self) -> None:
        """Disconnect once all is acknowledged."""

    async def abort(self) -> None:
        """Disconnect now."""


class DeadLetterTopic:
    """:class:`DeadLetters` on a Kafka topic.

    ``timeout_s`` is how long connecting may take, or the topic to take one letter, or those that are sent together.
    """

    def __init__(
        self,
        producer: Producer,
        *,
        source_topic: str,
        timeout_s: float = SEND_TIMEOUT_S,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        self._producer = producer
        self._source_topic = source_topic
        self._timeout_s = timeout_s
        self._stop_timeout_s = stop_timeout_s

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._producer.start()
        except TimeoutError:
            raise BrokerUnavailable(f"no broker let a producer in within {self._timeout_s:g} s") from None

    async def stop(self) -> None:
        """Disconnect; what is not acknowledged by then is given up."""
        try:
            async with asyncio.timeout(self._stop_timeout_s):
                await self._producer.stop()
        except TimeoutError:
            await self._producer.abort()

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """As the protocol says. A letter that the topic refuses for its size is cut until the topic takes it."""
        originals = [self._original(letter) for letter in letters]
        # A request has a limit, too, and several letters may go in one.
        together = [original for original in originals if original.whole.size <= TOGETHER_BYTES]
        alone = [original for original in originals if original.whole.size > TOGETHER_BYTES]
        refused_bytes = math.inf
        for original in [*await self._send_together(together), *alone]:
            refused_bytes = await self._send_alone(original, refused_bytes)

    async def _send_together(self, originals: Sequence[Original]) -> list[Original]:
        """Returns those that the topic refuses for their size, each by itself or for what else its Kafka batch had."""
        # All are awaited: an answer that nobody took would be reported as an error of its own.
        async with self._in_time():
            answers = await asyncio.gather(
                *(self._send_one(original.whole) for original in originals), return_exceptions=True
            )
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, MessageTooLargeError):
                raise answer
        return [original for original, answer in zip(originals, answers, strict=True) if answer]

    async def _send_alone(self, original: Original, refused_bytes: float) -> float:
        """Send a letter as large as the topic takes it, which was seen to refuse ``refused_bytes``.

        Returns the fewest bytes that it is now known to refuse, so that each size is asked about once.
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
        # Nothing is dropped: the partition waits until somebody raises the topic's limit.
        raise BrokerUnavailable(
            f"the dead-letter topic {self._producer.topic} takes not even a letter of {letter.size} bytes"
        )

    async def _send_one(self, letter: Letter) -> None:
        await self._producer.acknowledged(await self._producer.send(*letter))

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        # The client tries without end; who calls wants to know that the topic is not to be had.
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
        return Original(message.key, message.value, message.headers, error=letter.error, origin=origin)
