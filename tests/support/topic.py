"""Topics in memory: read as :class:`replog_collector.topics.reader.TopicReader` reads one, and as restoring does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from replog.events import parse
from replog.store.write.offsets import Span
from replog_collector.topics.reader import Progress

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

    from replog.events import Event as AnyEvent
    from tests.support.strategies import Event


class PublishedEvent(NamedTuple):
    """A message of the topic."""

    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[()] = ()


class TopicInMemory:
    """A topic of one partition; retention has deleted what is before ``first``."""

    def __init__(self, events: Sequence[Event] = (), *, first: int = 0, timestamp: int = 1_620_821_948_000) -> None:
        self.events = [*events]
        self.first = first
        self.timestamp = timestamp
        self.progress = Progress(0, 0)
        #: How often something of it was read.
        self.readings = 0
        self.positions: Mapping[int, int] = {}

    async def available(self) -> dict[int, Span]:
        """As the reader's."""
        return {0: Span(self.first, len(self.events))}

    async def from_offsets(self, offsets: Mapping[int, int]) -> dict[int, Span]:
        """As the reader's."""
        return {0: Span(max(offsets.get(0, self.first), self.first), len(self.events))}

    async def read(self, spans: Mapping[int, Span], *, a_step: int = 50) -> AsyncIterator[list[Any]]:
        """As the reader's."""
        (span,) = spans.values()
        self.readings += span.begin < span.end
        for begin in range(span.begin, span.end, a_step):
            end = min(begin + a_step, span.end)
            self.positions = {0: end}
            self.progress = Progress(end - span.begin, span.end - span.begin)
            yield [self._message(offset) for offset in range(begin, end)]

    def _message(self, offset: int) -> PublishedEvent:
        event = self.events[offset]
        return PublishedEvent(0, offset, self.timestamp, event["recordId"].encode(), json.dumps(event).encode())


class KnownEvents:
    """A topic of these events, as restoring reads one; ``asked`` are the times in ms from which it was read."""

    def __init__(self, known: Sequence[Event]) -> None:
        self.asked: list[int] = []
        self._known = known

    async def events_since(self, time_ms: int) -> AsyncGenerator[list[AnyEvent]]:
        """As :class:`replog.store.maintain.restoring.Topic`: all of them."""
        self.asked.append(time_ms)
        for event in self._known:
            yield [parse(json.dumps(event).encode())]
