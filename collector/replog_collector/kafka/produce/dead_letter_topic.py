"""The edge to the dead-letter topic: sends letters, cut to a size that the topic accepts."""

from __future__ import annotations

import asyncio
import math
import time
from importlib.metadata import version
from itertools import chain
from typing import TYPE_CHECKING

from replog.errors import BrokerUnavailable, MessageTooLargeError
from replog.letters import LIMITS, Cause, Letter, Origin, Original
from replog.times import format_time_us
from replog_collector.kafka.produce.timed_producer import SEND_TIMEOUT_S, STOP_TIMEOUT_S, TimedProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from replog_collector.kafka.dead_letters import DeadLetter
    from replog_collector.kafka.produce.timed_producer import Producer

#: Letters up to this size are sent together: one request may hold those of many partitions.
TOGETHER_BYTES = 1024 * 1024


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
        self._producer = TimedProducer(producer, "dead-letter", timeout_s=timeout_s, stop_timeout_s=stop_timeout_s)
        self._source_topic = source_topic
        self._clock = clock
        self._version = version("replog")

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect; messages that are not acknowledged in time are dropped."""
        await self._producer.stop()

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
        async with self._producer.in_time() as producer:
            answers = await asyncio.gather(
                *(_send_one(producer, original.whole) for original in originals), return_exceptions=True
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
                async with self._producer.in_time() as producer:
                    await _send_one(producer, letter)
            except MessageTooLargeError:
                refused_bytes = letter.size
            else:
                return refused_bytes
        # Nothing is dropped: the partition waits until the topic's limit is raised.
        raise BrokerUnavailable(f"{self._producer.topic} takes not even a letter of {letter.size} bytes")

    def _original(self, letter: DeadLetter) -> Original:
        message = letter.message
        origin = Origin(self._source_topic, message.partition, message.offset)
        cause = Cause(letter.reason, letter.error, format_time_us(self._clock() // 1000), self._version)
        return Original(message.key, message.value, message.headers, cause=cause, origin=origin)


async def _send_one(producer: Producer, letter: Letter) -> None:
    await producer.acknowledged(await producer.send(*letter))
