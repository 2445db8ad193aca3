"""A second store, filled from the topic beside the live one; and the removal of a store that is no longer wanted.

A rebuild writes checkpoints as collectors do, under their group. So it may be stopped and run again: it goes on there.
And collectors that start on the new store go on where the rebuild has ended.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from replog.errors import FatalError, InvalidEventError, StoreIncompatible, StoreRewound
from replog.events import parse
from replog.store.client.command import Command
from replog.store.format.keys import BucketKeys, RecordKeys, task_keys
from replog.store.format.layout import COPYABLE, all_buckets
from replog.store.inspect.task_check import indexed_tasks
from replog.store.maintain.restoring import Restoring
from replog.store.write.batch import Batch
from replog.store.write.checkpoints import Checkpoints
from replog.store.write.layout_claim import claim_layout
from replog.store.write.offsets import Span
from replog.store.write.writer import Writer
from replog_collector.kafka.source import Unreadable
from replog_collector.pipeline.clock_limit import AheadLimit
from replog_collector.topics.reader import TopicReader
from replog_collector.topics.topic_events import TopicEvents
from replog_repair.stores import NamedStore, store_of
from replog_repair.verification.running import shared_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from replog.settings import CollectorSettings
    from replog.store.client.pipelining import CommandRunner
    from replog.store.write.merge_result import MergeResult
    from replog_collector.kafka.source import Message
    from replog_repair.verification.verifier import Reporter

#: Batches between two checkpoints.
BATCHES_A_CHECKPOINT = 10
#: Seconds after which the mark by which two addresses of one store are recognised goes by itself.
PROBE_KEPT_S = 60
#: Records or tasks that are removed in one step.
REMOVED_A_STEP = 200


class Rebuilt(NamedTuple):
    """The result of a rebuild: events merged, messages that are no valid events, the checkpoints reached."""

    events: int
    invalid: int
    positions: dict[int, int]


class Rebuild:
    """Fills the store behind ``connection`` from a topic. ``progress`` is called with offsets read, and to read."""

    def __init__(
        self,
        reader: TopicReader,
        connection: CommandRunner,
        checkpoints: Checkpoints,
        ahead: AheadLimit,
        *,
        progress: Callable[[int, int], None],
    ) -> None:
        self._reader = reader
        self._connection = connection
        self._checkpoints = checkpoints
        self._ahead = ahead
        self._progress = progress
        self._writer = Writer(connection)
        self._events = self._invalid = 0

    async def run(self) -> Rebuilt:
        """Merge everything from the checkpoints to the topic's ends as they are now.

        Raises:
            FatalError: the store lost something meanwhile; run it again.
            RecoverableError: Kafka or Redis did not answer for too long; run it again.
        """
        await claim_layout(self._connection)
        spans = await self._spans()
        reached = {number: span.begin for number, span in spans.items()}
        merges: list[MergeResult] = []
        async for messages in self._reader.read(spans):
            merges.append(await self._writer.merge(self._folded(messages)))
            if len(merges) >= BATCHES_A_CHECKPOINT:
                reached = await self._advance(reached, self._reader.positions, merges)
                merges = []
            self._progress(self._reader.progress.read, self._reader.progress.total)
        reached = await self._advance(reached, {number: span.end for number, span in spans.items()}, merges)
        return Rebuilt(self._events, self._invalid, reached)

    async def _spans(self) -> dict[int, Span]:
        available = await self._reader.available()
        known = await self._checkpoints.read([*available])
        await self._checkpoints.begin(
            {number: span.begin for number, span in available.items() if (known[number] or -1) < span.begin}
        )
        return await self._reader.from_offsets({number: at for number, at in known.items() if at is not None})

    def _folded(self, messages: Sequence[Message | Unreadable]) -> Batch:
        batch, latest_us = Batch(), self._ahead.latest_us()
        for message in messages:
            if isinstance(message, Unreadable):
                self._invalid += 1
            elif message.value is not None:
                self._fold(batch, message.value, latest_us)
        self._events += len(batch)
        return batch

    def _fold(self, batch: Batch, value: bytes, latest_us: float) -> None:
        try:
            event = parse(value)
        except InvalidEventError:
            self._invalid += 1
            return
        if event.event_us > latest_us:
            self._invalid += 1
        else:
            batch.add(event)

    async def _advance(
        self, reached: Mapping[int, int], positions: Mapping[int, int], merges: list[MergeResult]
    ) -> dict[int, int]:
        ends = dict(positions)
        try:
            await self._checkpoints.advance({n: Span(begin, ends[n]) for n, begin in reached.items()}, merges)
        except StoreRewound as error:
            raise FatalError(f"{error}; run the same rebuild again: it goes on from its checkpoints") from error
        return ends


async def is_same_store(connection: CommandRunner, other: CommandRunner) -> bool:
    """Whether both lead to one store, however its address is written. Raises StoreUnavailable."""
    if connection.prefix != other.prefix:
        return False
    key, value = BucketKeys(connection.prefix, 0).head + b"probe", uuid4().hex.encode()
    await connection.run([Command("SET", [key], [value, "EX", PROBE_KEPT_S])])
    (found,) = await other.run([Command("GET", [key])])
    await connection.run([Command("UNLINK", [key])])
    return bool(found == value)


async def drop(connection: CommandRunner, *, progress: Callable[[int, int], None]) -> int:
    """Remove the store behind ``connection``, in steps; returns the number of records removed.

    The marks of its layout go last, so that it may be stopped and run again. Notes of merges go by themselves within a
    day. Redis frees the memory in the background. Raises StoreUnavailable.
    """
    buckets = all_buckets(connection.prefix)
    removed = 0
    for done, bucket in enumerate(buckets):
        progress(done, len(buckets))
        removed += await _drop_records(connection, bucket)
        await _drop_tasks(connection, bucket)
        others = [bucket.removed, bucket.claimed, bucket.left, bucket.leaving, bucket.running, bucket.unfinished]
        others += [bucket.moved, bucket.tasks, bucket.applied, bucket.as_of, bucket.copied, bucket.outbox]
        others += [bucket.erased, bucket.erased_at, bucket.relisting, bucket.restoring, bucket.listed, bucket.listed_at]
        await connection.run([Command("UNLINK", others)])
    await connection.run([Command("UNLINK", [bucket.layout]) for bucket in buckets])
    progress(len(buckets), len(buckets))
    return removed


async def _drop_records(connection: CommandRunner, bucket: BucketKeys) -> int:
    removed = 0
    while True:
        (ids,) = await connection.run([Command("ZRANGE", [bucket.due], [0, REMOVED_A_STEP - 1])])
        if not ids:
            return removed
        # The entries go after the records: what is removed half is found again.
        records = [RecordKeys(connection.prefix, raw_id.decode(errors="replace")) for raw_id in ids]
        keys = [key for record in records for key in (*record.all, *record.former)]
        await connection.run([Command("UNLINK", [key]) for key in keys])
        await connection.run([Command("ZREM", [bucket.due], ids)])
        removed += len(ids)


async def _drop_tasks(connection: CommandRunner, bucket: BucketKeys) -> None:
    async for keys in indexed_tasks(connection, bucket.number):
        lists = [key for task_key in keys for key in task_keys(connection.prefix, task_key)]
        if lists:
            await connection.run([Command("UNLINK", [key]) for key in lists])


async def rebuild_into(settings: CollectorSettings, into: NamedStore, *, report: Reporter) -> Rebuilt:
    """Fill the store ``into`` from the topic.

    Raises:
        FatalError: ``into`` is the live store, or cannot be used.
        RecoverableError: Kafka or Redis did not answer for too long; run it again.
    """
    async with AsyncExitStack() as opened:
        connection = await opened.enter_async_context(shared_store(into))
        await _refuse_live(settings, connection, into)
        reader = await opened.enter_async_context(TopicReader(settings, settings.kafka_topic))
        checkpoints = Checkpoints(connection, group=settings.kafka_group_id, topic=settings.kafka_topic)
        report.begin(f"rebuild {settings.kafka_topic} into {into.shown}")
        ahead = AheadLimit(settings.max_ahead_s)
        rebuild = Rebuild(reader, connection, checkpoints, ahead, progress=report.update)
        rebuilt = await rebuild.run()
        topic = TopicEvents(settings, latest_us=ahead.latest_us)
        await Restoring(connection, topic, ahead_s=settings.max_ahead_s).restore()
        return rebuilt


async def drop_store(settings: CollectorSettings, place: NamedStore, *, report: Reporter) -> int:
    """Remove a store that is not the live one; returns the number of records removed. Raises FatalError."""
    async with shared_store(place, layouts=COPYABLE) as connection:
        await _refuse_live(settings, connection, place)
        report.begin(f"drop {place.shown}")
        return await drop(connection, progress=report.update)


async def _refuse_live(settings: CollectorSettings, connection: CommandRunner, place: NamedStore) -> None:
    try:
        # Its layout is that of the version before this one, where this is an upgrade.
        async with shared_store(store_of("", settings), layouts=COPYABLE) as live:
            is_live = await is_same_store(connection, live)
    except StoreIncompatible:
        # This version cannot read the live store. It could open ``place``, which is another store then.
        return
    if is_live:
        raise FatalError(f"{place.shown} is the live store, which REPLOG_REDIS_URL and REPLOG_REDIS_PREFIX name")
