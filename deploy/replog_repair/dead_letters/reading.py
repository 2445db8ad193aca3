"""Dead letters from the dead-letter topic, and originals from the topic of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from replog.errors import FatalError
from replog.store.write.offsets import Span
from replog_collector.kafka.source import Unreadable
from replog_collector.topics.reader import TopicReader
from replog_repair.dead_letters.letter import letter_of
from replog_repair.dead_letters.selection import NewestPlaces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from replog.letters import Origin
    from replog.settings import CollectorSettings
    from replog_collector.kafka.source import Message
    from replog_repair.dead_letters.letter import DeadLetter, Place
    from replog_repair.dead_letters.selection import Selection

    #: Takes the number of offsets that are read, and of those that there are to read.
    Progress = Callable[[int, int], None]


async def selected(reader: TopicReader, selection: Selection, *, progress: Progress) -> AsyncIterator[list[DeadLetter]]:
    """Yield the letters of ``selection`` that the topic has now; one partition after the other, each in its order.

    Raises:
        BrokerUnavailable: the broker does not answer, or refuses.
        TopicMissing: there is no dead-letter topic.
    """
    spans = await reader.since(selection.search_from_ms)
    async for letters in of_spans(reader, spans, progress=progress):
        if chosen := [letter for letter in letters if selection.has(letter)]:
            yield chosen


async def chosen(
    reader: TopicReader, selection: Selection, *, limit: int | None, progress: Progress
) -> AsyncIterator[list[DeadLetter]]:
    """The same; with a ``limit`` only so many, the newest. For that, the topic is read twice."""
    places: set[Place] | None = None
    if limit is not None:
        newest = NewestPlaces(limit)
        async for letters in selected(reader, selection, progress=progress):
            newest.add(letters)
        places = newest.places
    async for letters in selected(reader, selection, progress=progress):
        yield letters if places is None else [letter for letter in letters if letter.place in places]


async def of_spans(
    reader: TopicReader, spans: Mapping[int, Span], *, progress: Progress
) -> AsyncIterator[list[DeadLetter]]:
    """Yield all letters of ``spans``; one partition after the other, each in its order."""
    done, total = 0, sum(end - begin for begin, end in spans.values())
    for number, span in sorted(spans.items()):
        async for messages in reader.read({number: span}):
            progress(done + reader.progress.read, total)
            yield [letter_of(message) for message in messages]
        done += reader.progress.read
        progress(done, total)


async def letter_at(reader: TopicReader, topic: str, place: Place) -> DeadLetter:
    """The letter at ``place``.

    Raises:
        FatalError: there is none; the text says which offsets there are.
    """
    available = await reader.available()
    if place.partition not in available:
        raise FatalError(f"{topic} has no partition {place.partition}; it has {len(available)}, from 0 on")
    span = available[place.partition]
    message = await _message_at(reader, place.partition, place.offset, span)
    if message is None:
        raise FatalError(
            f"{topic} has no letter at {place}; "
            f"partition {place.partition} has those from {span.begin} to before {span.end}"
        )
    return letter_of(message)


class Originals:
    """The topic of events, where letters say that they come from. An async context manager."""

    def __init__(self, settings: CollectorSettings) -> None:
        self._reader = TopicReader(settings, settings.kafka_topic)
        self._available: Mapping[int, Span] | None = None

    async def fetch(self, origin: Origin) -> Message | None:
        """The message at ``origin``; None where the topic does not have it any more, or it cannot be read."""
        if self._available is None:
            self._available = await self._reader.available()
        span = self._available.get(origin.partition, Span(0, 0))
        message = await _message_at(self._reader, origin.partition, origin.offset, span)
        return None if isinstance(message, Unreadable) else message

    async def __aenter__(self) -> Self:
        """Connects when the first message is asked for: few replays need any."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Disconnect."""
        await self._reader.__aexit__(*error)


async def _message_at(reader: TopicReader, number: int, offset: int, span: Span) -> Message | Unreadable | None:
    if not span.begin <= offset < span.end:
        return None
    async for messages in reader.read({number: Span(offset, offset + 1)}):
        return messages[0]
    return None
