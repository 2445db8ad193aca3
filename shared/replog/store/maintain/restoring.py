"""Brings back what is later than an erasure and was merged before it: the store reads it from the topic again.

A register keeps its greatest candidate. If an erased event offered that, the store does not know what a later event
offered. To know it for every erasure that may come, each detail would have to keep all times of its events. So an
erasure drops the whole record, and the topic is what remembers (docs/adr/0017). ``erase.lua`` notes in ``restoring``
the records that may have had later events. That is rare: it takes a worker whose clock is ahead, or an erasure that is
dated back.
"""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple, Protocol

from replog.events import RecordErased
from replog.records import TIME_BYTES, time_us
from replog.store.client.command import Command
from replog.store.client.scripts import RESTORED
from replog.store.format.keys import RecordKeys
from replog.store.format.layout import all_buckets
from replog.store.write.batch import Batch
from replog.store.write.writer import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from replog.events import Event
    from replog.store.client.pipelining import CommandRunner

#: Events that are merged at once.
EVENTS_A_BATCH = 5000


class Topic(Protocol):
    """The topic, outside the consumer group."""

    def events_since(self, time_ms: int) -> AsyncGenerator[Sequence[Event]]:
        """Valid events of all partitions up to their ends as they are now, in short lists.

        Those whose message has a timestamp before ``time_ms`` may be left out; 0 is the beginning. Raises
        BrokerUnavailable.
        """


class Restored(NamedTuple):
    """Result of one run: records that had been noted, and later events of theirs that were found."""

    records: int
    events: int


class Restoring:
    """Restores what is noted; any number of processes may do so at once.

    ``ahead_s`` is by how much the time of an event may be later than the timestamp of its message. 0 stands for no
    limit: then the topic is read from its beginning. With ``outbox``, outcomes of what comes back are noted to be
    published: those that were there went with the erasure.
    """

    def __init__(
        self,
        connection: CommandRunner,
        topic: Topic,
        *,
        ahead_s: float,
        clock: Callable[[], float] = time.time,
        outbox: bool = False,
        events_a_batch: int = EVENTS_A_BATCH,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._ahead_s = ahead_s
        # Of its own: a writer keeps what it has to report, and nobody reports for this one.
        self._writer = Writer(connection, clock=clock, outbox=outbox)
        self._events_a_batch = events_a_batch

    async def restore(self) -> Restored:
        """Merge the later events of the noted records, and remove the notes.

        Raises:
            StoreUnavailable: nothing is lost; the next run does it again.
            BrokerUnavailable: likewise.
        """
        noted = await self._noted()
        if not noted:
            return Restored(0, 0)
        until_us = {record_id: time_us(generation) for record_id, generation in noted.items()}
        earliest_ms = min(until_us.values()) // 1000
        since_ms = max(0, earliest_ms - int(self._ahead_s * 1000)) if self._ahead_s else 0
        found, batch = 0, Batch()
        async with aclosing(self._topic.events_since(since_ms)) as lists:
            async for events in lists:
                for event in events:
                    if event.event_us > until_us.get(event.record_id, event.event_us) and not _is_erasure(event):
                        batch.add(event)
                if len(batch) >= self._events_a_batch:
                    found += await self._merge(batch)
                    batch = Batch()
        found += await self._merge(batch)
        await self._forget_notes(noted)
        return Restored(len(noted), found)

    async def _noted(self) -> Mapping[str, bytes]:
        """Generations of the noted records. What somebody else wrote there is passed over."""
        buckets = all_buckets(self._connection.prefix)
        notes = await self._connection.run([Command("HGETALL", [bucket.restoring]) for bucket in buckets])
        return {
            raw_id.decode(): generation
            for note in notes
            for raw_id, generation in _pairs(note)
            if len(generation) == TIME_BYTES
        }

    async def _merge(self, batch: Batch) -> int:
        if len(batch):
            await self._writer.merge(batch)
        return len(batch)

    async def _forget_notes(self, noted: Mapping[str, bytes]) -> None:
        prefix = self._connection.prefix
        calls = [
            Command(RESTORED, [RecordKeys(prefix, record_id).bucket.restoring], (record_id, generation))
            for record_id, generation in noted.items()
        ]
        await self._connection.run(calls)


def _is_erasure(event: Event) -> bool:
    return isinstance(event, RecordErased)


def _pairs(reply: dict[bytes, bytes] | list[bytes]) -> list[tuple[bytes, bytes]]:
    # By the protocol's version.
    return [*reply.items()] if isinstance(reply, dict) else [*zip(reply[::2], reply[1::2], strict=True)]
