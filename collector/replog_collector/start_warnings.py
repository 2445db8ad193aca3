"""Warnings about how Redis and the topics are set up, logged once when a collector starts.

What the servers do not tell is no warning: ``replog doctor`` says what could not be determined.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from replog.cancellation import cancel_and_wait
from replog.errors import ReplogError
from replog.store.client.weaknesses import log_weaknesses
from replog.telemetry import logger
from replog_collector.topics.administration import Administration
from replog_collector.topics.requirements import (
    EVENT_BYTES,
    OUTCOME_BYTES,
    letter_bytes,
    too_small_for_events,
    too_small_for_letters,
    too_small_for_outcomes,
)

if TYPE_CHECKING:
    from replog.settings import CollectorSettings
    from replog.store.client.connection import Connection

#: Seconds that the brokers may take to answer one question.
ANSWER_TIMEOUT_S = 5.0
#: Seconds in which the task ends once it is cancelled.
CANCEL_S = 1.0


class StartWarnings:
    """Looks at the servers once, beside the collector's work, from :meth:`begin` on; ends with its block.

    Leaving the block raises what is no error of a server.
    """

    def __init__(self, settings: CollectorSettings, connection: Connection) -> None:
        self._settings = settings
        self._connection = connection
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task:
            await cancel_and_wait([self._task], timeout_s=CANCEL_S)
            if self._task.done() and not self._task.cancelled():
                self._task.result()

    async def begin(self) -> None:
        """Start looking, once; called when both servers have answered."""
        if self._task is None:
            self._task = asyncio.create_task(self._look(), name="start warnings")

    async def _look(self) -> None:
        # Nothing depends on it: a server that fails now is met by the collector's own calls.
        with suppress(ReplogError):
            await log_weaknesses(self._connection)
        with suppress(ReplogError):
            async with Administration(self._settings, timeout_s=ANSWER_TIMEOUT_S) as kafka:
                await self._look_at_partitions(kafka)
                await self._look_at_sizes(kafka)

    async def _look_at_partitions(self, kafka: Administration) -> None:
        name = self._settings.kafka_topic
        topic = (await kafka.topics([name])).get(name)
        if topic and len(topic.partitions) == 1:
            logger().warning("single_partition", topic=name)

    async def _look_at_sizes(self, kafka: Administration) -> None:
        names = (self._settings.kafka_topic, self._settings.dead_letter_topic)
        events, letters = [await kafka.settings(name) for name in names]
        if too_small_for_events(events):
            _warn_of_size(names[0], events.max_message_bytes, EVENT_BYTES)
        if too_small_for_letters(letters, events):
            _warn_of_size(names[1], letters.max_message_bytes, letter_bytes(events))
        if outcomes_topic := self._settings.kafka_outcomes_topic:
            outcomes = await kafka.settings(outcomes_topic)
            if too_small_for_outcomes(outcomes):
                _warn_of_size(outcomes_topic, outcomes.max_message_bytes, OUTCOME_BYTES)


def _warn_of_size(topic: str, found: int | None, needed: int) -> None:
    logger().warning("message_limit_small", topic=topic, max_message_bytes=found, needed=needed)
