"""The edge to a topic that is read in a consumer group of its own, one message after the other.

A message that is not committed comes again, to this member or another. A new group begins with the oldest message.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from replog.errors import AuthenticationFailed, BrokerUnavailable
from replog.publisher.kafka_client import connected, consumer_options
from replog_collector.kafka.fetch.client import has_ended, stop_consumer
from replog_collector.kafka.fetch.safe_consumer import SafeConsumer
from replog_collector.kafka.source import Unreadable

if TYPE_CHECKING:
    from replog.settings import KafkaSettings
    from replog_collector.kafka.source import Message

#: Most messages that one poll returns.
POLL_MESSAGES = 100
#: Bytes fetched ahead from each partition, and of a batch when decompressed.
_FETCH_BYTES = 1024 * 1024
_BATCH_BYTES = 16 * 1024 * 1024
#: The caller may take as long as it likes with a message: it is alive as long as its heartbeats are.
_MAX_POLL_MS = 2**31 - 1


@dataclass(frozen=True)
class ReaderTimings:
    """Time limits in seconds."""

    #: Of joining, committing and leaving.
    answer_s: float = 10.0
    #: Of a poll beyond the time that it waits for messages.
    poll_slack_s: float = 5.0


_TIMINGS = ReaderTimings()


class GroupReader:
    """A member of ``group`` on ``topic``."""

    def __init__(self, settings: KafkaSettings, topic: str, group: str, *, timings: ReaderTimings = _TIMINGS) -> None:
        self._settings = settings
        self._topic = topic
        self._group = group
        self._timings = timings
        self._consumer: Any = None
        self._done: dict[int, int] = {}
        #: Number of the present assignment. Messages of an earlier one may have gone to another member.
        self.assignment = 0

    async def poll(self, timeout_s: float) -> list[Message | Unreadable]:
        """The next messages, at most :data:`POLL_MESSAGES`; those of one partition in order.

        Joins the group first if need be.

        Raises:
            AuthenticationFailed: the brokers that answer do not let this process in, or are not trusted.
            BrokerUnavailable: poll again.
        """
        consumer = await self._joined()
        try:
            async with asyncio.timeout(timeout_s + self._timings.poll_slack_s):
                fetched = await consumer.getmany(timeout_ms=int(timeout_s * 1000), max_records=POLL_MESSAGES)
        except TimeoutError:
            # The group is being rebalanced.
            return []
        except KafkaError as error:
            await self.stop()
            raise self._unavailable(error) from error
        return [message for messages in fetched.values() for message in messages]

    def done(self, message: Message | Unreadable) -> None:
        """Note that ``message`` and those before it in its partition need not come again.

        It is one of the present assignment.
        """
        last = message.last if isinstance(message, Unreadable) else message.offset
        self._done[message.partition] = last + 1

    async def commit(self) -> None:
        """Commit what is noted as done. Raises BrokerUnavailable: it may be committed later, or come again."""
        consumer, done = self._consumer, self._done
        if consumer is None or not done:
            return
        self._done = {}
        try:
            async with asyncio.timeout(self._timings.answer_s):
                await consumer.commit({TopicPartition(self._topic, number): offset for number, offset in done.items()})
        except IllegalStateError:
            # The partitions are another member's now, to which these messages come again.
            return
        except (KafkaError, TimeoutError) as error:
            self._done = done | self._done
            raise self._unavailable(error) from error

    async def stop(self) -> None:
        """Leave the group and disconnect; commits nothing."""
        consumer, self._consumer = self._consumer, None
        self._begin_assignment()
        if consumer is not None:
            await stop_consumer(consumer, self._timings.answer_s)

    async def _joined(self) -> Any:
        if self._consumer is not None and has_ended(self._consumer):
            await self.stop()
        if self._consumer is None:
            self._consumer = self._subscribed()
            try:
                async with asyncio.timeout(self._timings.answer_s):
                    await connected(self._consumer.start, self._settings)
            except AuthenticationFailed:
                await self.stop()
                raise
            except (KafkaError, TimeoutError) as error:
                await self.stop()
                raise self._unavailable(error) from error
        return self._consumer

    def _subscribed(self) -> Any:
        consumer: Any = SafeConsumer(
            max_batch_bytes=_BATCH_BYTES,
            group_id=self._group,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_FETCH_BYTES,
            max_poll_interval_ms=_MAX_POLL_MS,
            **consumer_options(self._settings),
        )
        consumer.subscribe([self._topic], listener=_Listener(self))
        return consumer

    def _begin_assignment(self) -> None:
        self._done = {}
        self.assignment += 1

    async def _revoked(self) -> None:
        try:
            await self.commit()
        except BrokerUnavailable:
            # What could not be committed comes again.
            return

    def _unavailable(self, error: BaseException) -> BrokerUnavailable:
        text = str(error) or f"no answer in {self._timings.answer_s:g} s"
        return BrokerUnavailable(f"Kafka at {self._settings.kafka_bootstrap_servers}, topic {self._topic}: {text}")


class _Listener(ConsumerRebalanceListener):
    def __init__(self, reader: GroupReader) -> None:
        self._reader = reader

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._reader._revoked()  # noqa: SLF001 - a part of the reader

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._reader._begin_assignment()  # noqa: SLF001 - likewise
