"""A reader of one topic that is in no group: it reads partitions once, and ends where they ended when it was asked.

::

    async with TopicReader(settings, settings.kafka_topic) as reader:
        async for messages in reader.read(await reader.since(start_ms)):
            ...

It commits nothing, so collectors do not notice it. Its memory is bounded by what one poll takes: a fetch response, and
one batch of at most ``REPLOG_MAX_BATCH_BYTES`` when decompressed.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)

from replog.errors import BrokerUnavailable, FatalError, TopicMissing
from replog.publisher.kafka_client import REFUSALS, connected
from replog.store.write.offsets import Span
from replog_collector.backoff import FIRST_BACKOFF_S, Backoff
from replog_collector.kafka.fetch.client import fetching_consumer, has_ended, stop_consumer
from replog_collector.kafka.offsets.topic_queries import Place, offsets_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping

    from replog.settings import CollectorSettings
    from replog_collector.kafka.source import Message, Unreadable

T = TypeVar("T")

#: Messages that one poll returns at most.
POLL_MESSAGES = 5000
#: Polls in a row without a message, after which a partition counts as read if the broker says that there is nothing.
_IDLE_POLLS = 3
#: Errors that no retry cures.
_REFUSALS = (*REFUSALS, ClusterAuthorizationFailedError, TopicAuthorizationFailedError)


@dataclass(frozen=True)
class ReaderTimings:
    """Time limits of a reader, in seconds."""

    #: Time that the broker may take to answer.
    answer_s: float = 10.0
    #: Greatest time that one poll waits for messages.
    poll_s: float = 0.5
    #: Time without any progress, through all retries, after which reading fails.
    patience_s: float = 60.0
    #: Greatest delay after the first failure.
    first_backoff_s: float = FIRST_BACKOFF_S


@dataclass(frozen=True, slots=True)
class Progress:
    """Offsets read so far, and all that are to be read. Not every offset holds a message."""

    read: int
    total: int


_TIMINGS = ReaderTimings()


class TopicReader:
    """Reads ``topic``. It is an async context manager, and runs one :meth:`read` at a time.

    A client that fails is replaced, and reading goes on where it was. ``client`` makes one that is not started.
    """

    def __init__(
        self,
        settings: CollectorSettings,
        topic: str,
        *,
        timings: ReaderTimings = _TIMINGS,
        client: Callable[[CollectorSettings], Any] = fetching_consumer,
    ) -> None:
        self._make_client = client
        self._settings = settings
        self._topic = topic
        self._timings = timings
        self._consumer: Any = None
        #: Whether the client has the partitions of the current reading, at its positions.
        self._assigned = False
        self._reading = _Reading({})

    async def __aenter__(self) -> Self:
        """Connect. Raises AuthenticationFailed, BrokerUnavailable."""
        try:
            await self._connected()
        except (KafkaError, TimeoutError) as error:
            raise self._unavailable(error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._disconnect()

    @property
    def progress(self) -> Progress:
        """Progress of the last :meth:`read`."""
        return self._reading.progress

    @property
    def positions(self) -> Mapping[int, int]:
        """By partition of the last :meth:`read`, the offset of the next message."""
        return self._reading.positions

    @property
    def skipped(self) -> int:
        """Offsets that the last :meth:`read` was to read, and that Kafka deleted before."""
        return self._reading.skipped

    async def available(self) -> dict[int, Span]:
        """By partition, the offsets that can be read now: from the first that Kafka has to the last stable offset.

        Raises:
            BrokerUnavailable: no broker answers, or it refuses.
            TopicMissing: there is no such topic.
        """
        return await self._answered(self._bounds)

    async def from_offsets(self, offsets: Mapping[int, int]) -> dict[int, Span]:
        """The same, from the given offsets on.

        A partition begins with its first offset if it has none in ``offsets``, or one that Kafka has deleted. It is
        empty if its offset is at the end or beyond. Raises as :meth:`available`.
        """
        return {
            number: Span(min(max(offsets.get(number, first), first), end), end)
            for number, (first, end) in (await self.available()).items()
        }

    async def since(self, time_ms: int) -> dict[int, Span]:
        """The same, from the first message on whose timestamp is ``time_ms`` since 1970, or later.

        Messages that follow may be older, where their producers set the timestamps. Where the broker cannot search by
        time, a partition begins with its first offset. Raises as :meth:`available`.
        """
        return await self._answered(lambda consumer: self._bounds_since(consumer, max(0, time_ms)))

    async def read(self, spans: Mapping[int, Span]) -> AsyncIterator[list[Message | Unreadable]]:
        """Yield the messages of ``spans``, by partition, and then end. No list is empty.

        Messages of one partition come in their order. Those that cannot be read come as
        :class:`~replog_collector.kafka.source.Unreadable`. Messages of aborted transactions do not come.

        Raises:
            BrokerUnavailable: there was no progress for ``patience_s``, or the broker refuses.
            FatalError: the topic was truncated or made anew meanwhile.
        """
        self._reading, self._assigned = _Reading(spans), False
        reading, progressed_s = self._reading, time.monotonic()
        while reading.left:
            before = reading.progress
            messages = await self._answered(self._poll)
            if reading.progress != before:
                progressed_s = time.monotonic()
            elif time.monotonic() > progressed_s + self._timings.patience_s:
                raise BrokerUnavailable(self._stuck())
            if messages:
                yield messages

    async def _answered(self, ask: Callable[[Any], Awaitable[T]]) -> T:
        """The answer to ``ask``, which gets the client. It is asked again until ``patience_s`` are over."""
        backoff = Backoff(self._timings.first_backoff_s)
        deadline_s = time.monotonic() + self._timings.patience_s
        while True:
            try:
                consumer = await self._connected()
                async with asyncio.timeout(self._timings.answer_s + self._timings.poll_s):
                    return await ask(consumer)
            except _REFUSALS as error:
                raise self._unavailable(error) from error
            except (KafkaError, TimeoutError) as error:
                await self._disconnect()
                if time.monotonic() >= deadline_s:
                    raise self._unavailable(error) from error
            await asyncio.sleep(backoff.next_s())

    async def _connected(self) -> Any:
        if self._consumer is not None and has_ended(self._consumer):
            await self._disconnect()
        if self._consumer is None:
            self._consumer = self._make_client(self._settings)
            try:
                async with asyncio.timeout(self._timings.answer_s):
                    await connected(self._consumer.start, self._settings)
            except BaseException:
                await self._disconnect()
                raise
        return self._consumer

    async def _disconnect(self) -> None:
        consumer, self._consumer, self._assigned = self._consumer, None, False
        if consumer is not None:
            await stop_consumer(consumer, self._timings.answer_s)

    async def _bounds(self, consumer: Any) -> dict[int, Span]:
        # Asked of all topics: asking for this one would make it, on a broker that makes topics by itself.
        cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001 - nothing public tells partitions so
        numbers = cluster.partitions_for_topic(self._topic)
        if numbers is None:
            servers = self._settings.kafka_bootstrap_servers
            raise TopicMissing(f"Kafka at {servers} has no topic {self._topic}, or does not show it to this user")
        partitions = self._partitions(sorted(numbers))
        firsts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        return {partition.partition: Span(firsts[partition], ends[partition]) for partition in partitions}

    async def _bounds_since(self, consumer: Any, time_ms: int) -> dict[int, Span]:
        bounds = await self._bounds(consumer)
        found = await _search(consumer, self._partitions(bounds), time_ms)
        # "No message is as late" and "I cannot search" are the same answer. The second is given for every time.
        silent = [partition for partition, offset in found.items() if offset is None]
        earliest = await _search(consumer, silent, 0)
        begins = {
            partition.partition: bounds[partition.partition].begin if earliest.get(partition, 0) is None else offset
            for partition, offset in found.items()
        }
        return {number: _from(begins[number], span) for number, span in bounds.items()}

    async def _poll(self, consumer: Any) -> list[Message | Unreadable]:
        reading = self._reading
        if not self._assigned:
            self._assign(consumer)
        partitions = self._partitions(reading.left)
        asked_ms = time.time_ns() // 1_000_000
        try:
            fetched = await consumer.getmany(
                *partitions, timeout_ms=int(self._timings.poll_s * 1000), max_records=POLL_MESSAGES
            )
        except OffsetOutOfRangeError as error:
            await self._skip(consumer, error.args[0])
            return []
        positions = {partition.partition: await consumer.position(partition) for partition in partitions}
        messages = reading.take([message for messages in fetched.values() for message in messages], positions)
        if reading.idle_polls >= _IDLE_POLLS:
            reading.finish(number for number in reading.left if self._has_nothing(consumer, number, asked_ms))
        # What follows the ends is not fetched.
        consumer.pause(*(partition for partition in partitions if partition.partition not in reading.left))
        return messages

    def _assign(self, consumer: Any) -> None:
        partitions = self._partitions(self._reading.left)
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, self._reading.positions[partition.partition])
        self._assigned = True

    def _has_nothing(self, consumer: Any, number: int, asked_ms: int) -> bool:
        """Whether the broker said after ``asked_ms`` that there is no message up to the partition's end.

        Compaction may have removed all of them.
        """
        partition = TopicPartition(self._topic, number)
        stable = consumer.last_stable_offset(partition)
        end = consumer.highwater(partition) if stable in (None, -1) else stable
        answered_ms = consumer.last_poll_timestamp(partition)
        return answered_ms is not None and answered_ms >= asked_ms and end >= self._reading.ends[number]

    async def _skip(self, consumer: Any, refused: Mapping[TopicPartition, int]) -> None:
        """Go on with the first offset that Kafka has, where retention deleted those before it."""
        partitions = self._partitions(TopicPartition(*partition).partition for partition in refused)
        firsts = await consumer.beginning_offsets(partitions)
        (ends,) = await offsets_of(consumer._client, partitions, Place.END)  # noqa: SLF001 - nothing public asks so
        for partition in partitions:
            position = self._reading.positions[partition.partition]
            if position > ends[partition]:
                raise FatalError(
                    f"partition {partition.partition} of {self._topic} ends at {ends[partition]}, before {position}, "
                    "which was to be read: the topic was truncated or made anew"
                )
            consumer.seek(partition, self._reading.skip(partition.partition, firsts[partition]))

    def _partitions(self, numbers: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, number) for number in numbers]

    def _stuck(self) -> str:
        places = ", ".join(
            f"{number}:{self._reading.positions[number]} of {self._reading.ends[number]}"
            for number in sorted(self._reading.left)
        )
        return (
            f"Kafka at {self._settings.kafka_bootstrap_servers}: nothing came from {self._topic} in "
            f"{self._timings.patience_s:g} s; partitions and offsets reached: {places}"
        )

    def _unavailable(self, error: KafkaError | TimeoutError) -> BrokerUnavailable:
        text = str(error) or type(error).__name__
        return BrokerUnavailable(f"Kafka at {self._settings.kafka_bootstrap_servers}: {text}")


class _Reading:
    """Positions and ends of one reading, by partition."""

    def __init__(self, spans: Mapping[int, Span]) -> None:
        self.positions = {number: span.begin for number, span in spans.items()}
        self.ends = {number: max(span) for number, span in spans.items()}
        #: Partitions that are not read to their ends.
        self.left = {number for number, span in spans.items() if span.begin < span.end}
        self.skipped = 0
        #: Polls in a row that brought nothing.
        self.idle_polls = 0
        self._begins = dict(self.positions)

    @property
    def progress(self) -> Progress:
        total = sum(self.ends[number] - begin for number, begin in self._begins.items())
        return Progress(sum(self.positions[number] - begin for number, begin in self._begins.items()), total)

    def take(
        self, messages: Collection[Message | Unreadable], positions: Mapping[int, int]
    ) -> list[Message | Unreadable]:
        """Advance to ``positions``; returns those of ``messages`` that are before the ends."""
        advanced = [self._advance(number, position) for number, position in positions.items()]
        self.idle_polls = 0 if any(advanced) else self.idle_polls + 1
        return [message for message in messages if message.offset < self.ends[message.partition]]

    def skip(self, number: int, first: int) -> int:
        """Go on with ``first`` where that is later; returns the position."""
        before = self.positions[number]
        self._advance(number, first)
        self.skipped += self.positions[number] - before
        return max(before, first)

    def finish(self, numbers: Iterable[int]) -> None:
        """Count these partitions as read to their ends."""
        for number in list(numbers):
            self._advance(number, self.ends[number])

    def _advance(self, number: int, position: int) -> bool:
        before = self.positions[number]
        self.positions[number] = min(max(before, position), self.ends[number])
        if self.positions[number] == self.ends[number]:
            self.left.discard(number)
        return self.positions[number] > before


def _from(begin: int | None, span: Span) -> Span:
    return Span(span.end if begin is None else min(max(begin, span.begin), span.end), span.end)


async def _search(
    consumer: Any, partitions: Iterable[TopicPartition], time_ms: int
) -> dict[TopicPartition, int | None]:
    """By partition, the offset of the first message that is as late as ``time_ms``; None where there is none."""
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, time_ms))
    return {partition: None if place is None else place.offset for partition, place in found.items()}
