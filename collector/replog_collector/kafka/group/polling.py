"""Polls: the next messages of assigned partitions, with the range of offsets that they cover."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from replog_collector.kafka.group.client_errors import recoverable
from replog_collector.kafka.group.subscription import BROKER_ANSWER_TIMEOUT_S
from replog_collector.kafka.source import Message, Polled, Unreadable

if TYPE_CHECKING:
    from replog.settings import CollectorSettings
    from replog_collector.kafka.group.assignment import Assignment
    from replog_collector.kafka.group.membership import Membership
    from replog_collector.kafka.group.seeking import Seeking

#: Messages taken from the broker at once, and so the most in one batch.
BATCH_MESSAGES = 5000


class Polling:
    """Polls the client of ``membership`` for the messages of ``assignment``.

    ``seeking`` begins partitions again whose offsets the broker refuses.
    """

    def __init__(
        self, settings: CollectorSettings, assignment: Assignment, membership: Membership, seeking: Seeking
    ) -> None:
        self._settings = settings
        self._topic = settings.kafka_topic
        self._assignment = assignment
        self._membership = membership
        self._seeking = seeking

    async def poll(self, timeout_s: float, *, paused: bool) -> Polled:
        """The next messages, at most :data:`BATCH_MESSAGES`; none while ``paused``. Raises BrokerUnavailable."""
        self._pause(paused)
        if self._membership.evicted:
            await asyncio.sleep(timeout_s)
            return Polled()
        # The client would return messages fetched earlier from paused partitions too, and would start partitions at the
        # committed offset by itself: it is asked only for those whose start was decided here.
        numbers = [] if paused else list(self._assignment.applied)
        partitions = [TopicPartition(self._topic, number) for number in numbers or [-1]]
        try:
            # During a rebalance the client waits for its end.
            async with asyncio.timeout(timeout_s + BROKER_ANSWER_TIMEOUT_S):
                fetched = await self._membership.consumer.getmany(
                    *partitions, timeout_ms=int(timeout_s * 1000), max_records=BATCH_MESSAGES
                )
        except TimeoutError:
            return Polled()
        except NoOffsetForPartitionError:
            # A partition was revoked and assigned again meanwhile: the next snapshot decides where it begins.
            return Polled()
        except OffsetOutOfRangeError as error:
            await self._seeking.begin_again(self._membership.consumer, error.args[0])
            return Polled()
        except KafkaError as error:
            self._membership.note_failure()
            raise recoverable(error, self._settings.kafka_bootstrap_servers) from error
        return await self._polled(fetched, numbers)

    async def _polled(self, fetched: dict[TopicPartition, list[Message | Unreadable]], numbers: list[int]) -> Polled:
        # Partitions may have been revoked and assigned again meanwhile: their messages come again.
        known = {
            partition.partition: messages
            for partition, messages in fetched.items()
            if partition.partition in self._assignment.positions.applied
        }
        ends = {number: _end(messages[-1]) for number, messages in known.items()}
        spans = self._assignment.positions.poll(ends | await self._client_positions(numbers))
        everything = [message for messages in known.values() for message in messages]
        unreadable = [message for message in everything if type(message) is Unreadable]
        if unreadable:
            everything = [message for message in everything if type(message) is not Unreadable]
        return Polled(everything, spans, unreadable)

    async def _client_positions(self, numbers: list[int]) -> dict[int, int]:
        """By partition, the offset before which the client has returned all messages.

        That is beyond the last message where further offsets hold none: ends of transactions, aborted messages, what
        compaction removed.
        """
        reached: dict[int, int] = {}
        # The client knows where these begin, so it answers at once. Where it does not, nothing is known.
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(BROKER_ANSWER_TIMEOUT_S):
                for number in numbers:
                    if number in self._assignment.applied:
                        reached[number] = await self._membership.consumer.position(TopicPartition(self._topic, number))
        return reached

    def _pause(self, paused: bool) -> None:  # noqa: FBT001 - one caller, which has it by name
        consumer = self._membership.consumer
        resting = consumer.paused()
        if paused:
            consumer.pause(*(consumer.assignment() - resting))
        elif resting:
            consumer.resume(*resting)


def _end(message: Message | Unreadable) -> int:
    return (message.last if isinstance(message, Unreadable) else message.offset) + 1
