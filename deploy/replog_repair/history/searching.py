"""The messages of one record, found in the topic by its key and by time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replog.store.write.offsets import Span
from replog_collector.kafka.source import Unreadable
from replog_collector.topics.partitioning import partitions_of
from replog_repair.message_fields import belongs_to, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from replog_collector.kafka.source import Message
    from replog_collector.topics.reader import TopicReader

#: What the timestamps of messages may differ from the times of events by, beside how far those may be ahead.
SLACK_MS = 3_600_000


@dataclass
class Found:
    """The messages of a record, in the order of the topic, and how they were found.

    ``deleted`` are partitions that were searched and lack their first offsets: retention may have deleted events.
    ``unreadable`` is the number of messages that cannot be read, whose record nobody knows.
    """

    messages: list[Message] = field(default_factory=list)
    partitions: tuple[int, ...] = ()
    deleted: tuple[int, ...] = ()
    unreadable: int = 0


class Search:
    """The search for the messages of ``record_id``. ``progress`` takes offsets read, and offsets to read."""

    def __init__(self, reader: TopicReader, record_id: str, *, progress: Callable[[int, int], None]) -> None:
        self._reader = reader
        self._record_id = record_id
        self._key = record_id.encode("utf-8", "replace")
        self._progress = progress

    async def run(self, *, since_ms: int | None = None, all_partitions: bool = False) -> Found:
        """The messages, from ``since_ms`` on where that is enough.

        Those partitions are read in which producers usually put the key. If they have nothing of the record, or with
        ``all_partitions``, all of them are read from their first offsets. Earlier messages are read if none was found,
        or if one of a later attempt was: the start of that says nothing about the start of the first.

        Raises:
            BrokerUnavailable: the broker does not answer, or refuses.
            TopicMissing: there is no such topic.
        """
        available = await self._reader.available()
        likely = partitions_of(self._key, len(available))
        found = Found() if all_partitions else await self._search(available, likely, since_ms)
        if not found.messages:
            rest = sorted(available.keys() - set(found.partitions))
            found = _joined(found, await self._read({number: available[number] for number in rest}))
        found.messages = ordered(found.messages)
        found.deleted = tuple(number for number in found.partitions if available[number].begin > 0)
        return found

    async def _search(self, available: Mapping[int, Span], numbers: Collection[int], since_ms: int | None) -> Found:
        spans = {number: available[number] for number in numbers}
        if since_ms is None:
            return await self._read(spans)
        begins = await self._reader.since(since_ms)
        late = {number: Span(min(begins[number].begin, end), end) for number, (_, end) in spans.items()}
        found = await self._read(late)
        if found.messages and not any(_is_retry(message) for message in found.messages):
            return found
        return _joined(
            await self._read({number: Span(spans[number].begin, late[number].begin) for number in spans}), found
        )

    async def _read(self, spans: Mapping[int, Span]) -> Found:
        found = Found(partitions=tuple(spans))
        async for messages in self._reader.read(spans):
            self._progress(self._reader.progress.read, self._reader.progress.total)
            for message in messages:
                if isinstance(message, Unreadable):
                    found.unreadable += message.last - message.offset + 1
                elif self._is_of_record(message):
                    found.messages.append(message)
        return found

    def _is_of_record(self, message: Message) -> bool:
        if message.value is None:
            return False
        # Nearly all messages are of other records: their values need not be parsed. An id may be written with escapes.
        if message.key != self._key and self._key not in message.value and b"\\" not in message.value:
            return False
        return belongs_to(message.key, fields_of(message.value), self._record_id)


def ordered(messages: list[Message]) -> list[Message]:
    """Messages by their timestamps, but those of one partition by their offsets."""
    latest: dict[int, int] = {}
    keyed = []
    for message in sorted(messages, key=lambda message: (message.partition, message.offset)):
        latest[message.partition] = max(latest.get(message.partition, message.timestamp), message.timestamp)
        keyed.append((latest[message.partition], message.partition, message.offset, message))
    return [message for *_, message in sorted(keyed, key=lambda entry: entry[:3])]


def _is_retry(message: Message) -> bool:
    return fields_of(message.value).attempt > 0


def _joined(a: Found, b: Found) -> Found:
    partitions = tuple(dict.fromkeys((*a.partitions, *b.partitions)))
    return Found(a.messages + b.messages, partitions, unreadable=a.unreadable + b.unreadable)
