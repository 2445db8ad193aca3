"""The valid events of the topic, read outside the group, for :mod:`replog.store.maintain.restoring`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.errors import InvalidEventError
from replog.events import parse
from replog_collector.kafka.source import Unreadable
from replog_collector.topics.reader import TopicReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from replog.events import Event
    from replog.settings import CollectorSettings
    from replog_collector.kafka.source import Message


class TopicEvents:
    """Reads the topic of ``settings``. Events later than ``latest_us`` says are invalid, as in the collector's loop."""

    def __init__(self, settings: CollectorSettings, *, latest_us: Callable[[], float]) -> None:
        self._settings = settings
        self._latest_us = latest_us

    async def events_since(self, time_ms: int) -> AsyncGenerator[list[Event]]:
        """As :class:`replog.store.maintain.restoring.Topic`.

        Raises:
            BrokerUnavailable: the broker does not answer.
            FatalError: the topic is missing, or was made anew meanwhile.
        """
        async with TopicReader(self._settings, self._settings.kafka_topic) as reader:
            spans = await (reader.since(time_ms) if time_ms else reader.available())
            async for messages in reader.read(spans):
                yield list(self._valid(messages))

    def _valid(self, messages: Iterable[Message | Unreadable]) -> Iterable[Event]:
        latest_us = self._latest_us()
        for message in messages:
            if isinstance(message, Unreadable) or message.value is None:
                continue
            try:
                event = parse(message.value)
            except InvalidEventError:
                continue
            if event.event_us <= latest_us:
                yield event
