"""Events published again to their topic, in chunks that are acknowledged before the next one begins."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Self

from replog.errors import BrokerUnavailable, MessageTooLargeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from replog_collector.kafka.produce.timed_producer import Producer
    from replog_repair.dead_letters.checking import Checked

#: Seconds that the broker may take to acknowledge a chunk, and to let the producer go.
SEND_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0
#: Messages of one chunk, and bytes of one that has several.
CHUNK_MESSAGES = 500
CHUNK_BYTES = 512 * 1024


class Pace:
    """Holds publishing to ``per_s`` messages a second; 0 for no limit."""

    def __init__(
        self,
        per_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._per_s = per_s
        self._clock = clock
        self._sleep = sleep
        self._due_s = clock()

    @property
    def chunk_messages(self) -> int:
        """Messages that may be sent at once: those of a tenth of a second, if there is a limit."""
        return min(CHUNK_MESSAGES, max(1, int(self._per_s / 10))) if self._per_s else CHUNK_MESSAGES

    async def wait_for(self, count: int) -> None:
        """Return when ``count`` messages may be sent."""
        if not self._per_s:
            return
        now_s = self._clock()
        if self._due_s > now_s:
            await self._sleep(self._due_s - now_s)
        self._due_s = max(self._due_s, now_s) + count / self._per_s


class EventTopic:
    """The topic of events, to publish to. An async context manager.

    ``producer`` makes a producer that is not started. After the broker refused a message for its size, it is replaced:
    others that were in flight with it fail, too.
    """

    def __init__(self, producer: Callable[[], Producer], pace: Pace, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        self._make = producer
        self._pace = pace
        self._timeout_s = timeout_s
        self._producer: Producer | None = None

    async def __aenter__(self) -> Self:
        """Connect. Raises BrokerUnavailable."""
        await self._started()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._stop()

    async def publish(self, events: Sequence[Checked]) -> list[Checked]:
        """Publish the originals of ``events``; returns those that the topic refuses for their size.

        Raises:
            BrokerUnavailable: some are not acknowledged; all may be published again.
        """
        refused: list[Checked] = []
        for chunk in _chunks(events, self._pace.chunk_messages):
            await self._pace.wait_for(len(chunk))
            refused += await self._publish_chunk(chunk)
        return refused

    async def _publish_chunk(self, chunk: Sequence[Checked]) -> list[Checked]:
        try:
            await self._send(chunk)
        except MessageTooLargeError:
            await self._stop()
        else:
            return []
        if len(chunk) == 1:
            return [*chunk]
        # The Kafka batch was too large, or one message in it: sent one by one, they show which.
        return [refused for event in chunk for refused in await self._publish_chunk([event])]

    async def _send(self, chunk: Sequence[Checked]) -> None:
        producer = await self._started()
        try:
            async with asyncio.timeout(self._timeout_s):
                outcomes = await asyncio.gather(
                    *(_send_one(producer, event) for event in chunk), return_exceptions=True
                )
        except TimeoutError:
            raise BrokerUnavailable(f"{producer.topic} acknowledged nothing in {self._timeout_s:g} s") from None
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for error in sorted(errors, key=lambda error: not isinstance(error, MessageTooLargeError)):
            raise error

    async def _started(self) -> Producer:
        if self._producer is None:
            producer = self._make()
            try:
                async with asyncio.timeout(self._timeout_s):
                    await producer.start()
            except TimeoutError:
                raise BrokerUnavailable(f"no broker let a producer in within {self._timeout_s:g} s") from None
            self._producer = producer
        return self._producer

    async def _stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await producer.stop()
        except TimeoutError:
            await producer.abort()


def _chunks(events: Sequence[Checked], most: int) -> Iterator[list[Checked]]:
    chunk: list[Checked] = []
    size = 0
    for event in events:
        event_bytes = _size(event)
        if chunk and (len(chunk) == most or size + event_bytes > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(event)
        size += event_bytes
    if chunk:
        yield chunk


def _size(event: Checked) -> int:
    original = event.original
    return len(original.key or b"") + len(original.value or b"") if original else 0


async def _send_one(producer: Producer, event: Checked) -> None:
    if event.original is None:
        raise ValueError(f"letter {event.letter.place} has no original")
    key, value, _ = event.original
    await producer.acknowledged(await producer.send(key, value, event.headers))
