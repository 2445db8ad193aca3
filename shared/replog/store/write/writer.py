"""Writes batches into the store: each record with its details, indexes and sums in one atomic call."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import uuid4

import msgpack

from replog.records import MS_BIAS, Effect, last_ms, start_ms
from replog.store.client.command import Command
from replog.store.client.scripts import ENLIST, LEAVE, MERGE, SETTLE
from replog.store.format import detail_codec
from replog.store.format.detail_codec import TIME_BYTES
from replog.store.format.index_entries import placement_of, sums_of
from replog.store.format.keys import RecordKeys, task_bucket, task_keys
from replog.store.format.short_ids import short_of
from replog.store.write.batch import MergeReceipt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from replog.events import DetailEvent
    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.keys import BucketKeys
    from replog.store.write.batch import Batch, Folded, FoldedRecord

#: Calls that bring up tasks' lists and are sent together, and records in one call that notes that they are.
LIST_CALLS_AT_ONCE = 5000
SETTLED_A_CALL = 100

_ERA_CHARACTERS = 8
#: Parts of an answer to a merge of a record whose tasks' lists are up to date.
_EFFECTS_ALONE = 2

# Redis 7.0's cmsgpack rejects the bin type: everything goes as raw.
_pack = msgpack.Packer(use_bin_type=False).pack


class _Part(NamedTuple):
    """One merge call and the folded entities that its answer tells about."""

    record_id: str
    keys: RecordKeys
    call: Command
    record: Folded | None
    details: list[Folded]


class _Notes:
    """What one try to merge a batch is noted under: what became of the calls of one that failed nobody knows."""

    def __init__(self) -> None:
        self.merge_id = uuid4().hex
        #: What records are noted with: two merges of one record at the same time are told apart.
        self.short_id = self.merge_id[:_ERA_CHARACTERS]
        self.calls: Counter[int] = Counter()

    def next(self, bucket: BucketKeys) -> tuple[bytes, int]:
        """Where ``bucket`` notes its next call, and under which number."""
        self.calls[bucket.number] += 1
        return bucket.calls(self.merge_id), self.calls[bucket.number] - 1


@dataclass(frozen=True)
class Limits:
    """Sizes of what is sent to Redis for a batch."""

    #: Entities in one script call: 20 new details of a record of a million take Redis about 1 ms, and nobody else is
    #: served meanwhile.
    entities_a_call: int = 20
    #: Calls that are sent together, while the next are packed.
    calls_at_once: int = 20


_LIMITS = Limits()


class Writer:
    """Merges batches. Merging is idempotent and commutative: after any error, merge the same batch again."""

    def __init__(
        self,
        connection: CommandRunner,
        *,
        clock: Callable[[], float] = time.time,
        limits: Limits = _LIMITS,
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._clock = clock
        self.renew()

    def renew(self) -> None:
        """Take no tasks' list for up to date any more that this writer brought up before.

        To be called before events come again that were merged already: the store may have lost what this writer did.
        """
        self._era = uuid4().hex[:_ERA_CHARACTERS]

    async def merge(self, batch: Batch) -> None:
        """Merge ``batch``; returns once Redis has acknowledged all of it, with ``batch.effects`` complete.

        Raises:
            StoreUnavailable: some of it may have been merged; merge it again.
        """
        notes = _Notes()
        parts: list[_Part] = []
        sent: list[asyncio.Future[list[Any]]] = []
        made = (part for record_id, folded in batch.records.items() for part in self._parts(record_id, folded, notes))
        while group := list(islice(made, self._limits.calls_at_once)):
            parts += group
            sent.append(asyncio.ensure_future(self._connection.run([part.call for part in group])))
            # The event loop must come round for these to leave: Redis merges them while the next are packed.
            await asyncio.sleep(0)
        answers = [answer for replies in await _all_of(sent) for answer in replies]
        await self._bring_up_lists(parts, answers, notes)
        batch.receipt = MergeReceipt(notes.merge_id, notes.calls)
        for part, answer in zip(parts, answers, strict=True):
            for detail, digit in zip(part.details, answer[0], strict=True):
                batch.merged(detail, _EFFECTS[digit])
            if part.record:
                batch.merged(part.record, Effect(answer[1]))

    def _parts(self, record_id: str, folded: FoldedRecord, notes: _Notes) -> Iterator[_Part]:
        keys = RecordKeys(self._connection.prefix, record_id)
        bucket = keys.bucket
        head, tail = [*keys.all, bucket.due, bucket.removed], [bucket.running, bucket.unfinished, bucket.claimed]
        record, now_ms = folded.record, int(self._clock() * 1000)
        packed_record = _pack([*record.registers, *folded.task_keys]) if record else b""
        details = iter(_by_pair(folded.details, self._limits.entities_a_call))
        while (chunk := list(islice(details, self._limits.entities_a_call))) or record:
            packed = _pack([place for item in chunk for place in _incoming(*item)]) if chunk else b""
            parts = [detail for _, detail in chunk] + ([record] if record else [])
            newest_ms = last_ms(max(part.registers.last for part in parts))
            calls_key, number = notes.next(bucket)
            call = Command(
                MERGE,
                [*head, calls_key, *tail],
                (packed_record, packed, record_id, newest_ms, now_ms, number, self._era, notes.short_id),
            )
            yield _Part(record_id, keys, call, record, [detail for _, detail in chunk])
            record, packed_record = None, b""

    async def _bring_up_lists(self, parts: list[_Part], answers: list[Any], notes: _Notes) -> None:
        """Bring the lists of tasks up to date, where merges have found them behind, and note that they are."""
        listed: dict[bytes, list[Any]] = defaultdict(list)
        left: list[tuple[bytes, str]] = []
        behind: dict[int, list[bytes]] = defaultdict(list)
        for part, answer in zip(parts, answers, strict=True):
            if len(answer) <= _EFFECTS_ALONE:
                continue
            start, outcome, tasks, gone = answer[_EFFECTS_ALONE:]
            for task_key in msgpack.unpackb(tasks, raw=True):
                listed[task_key].append((part.record_id, start, outcome))
            if gone:
                left += [(task_key, part.record_id) for task_key in msgpack.unpackb(gone, raw=True)]
            behind[part.keys.bucket.number].append(part.keys.record)
        calls = [call for key, records in listed.items() for call in self._enlistings(key.decode(), records, notes)]
        await self._run(calls + [self._leaving(key.decode(), record_id, notes) for key, record_id in left])
        await self._run(self._settlings(behind.values(), notes))

    async def _run(self, calls: list[Command]) -> None:
        for i in range(0, len(calls), LIST_CALLS_AT_ONCE):
            await self._connection.run(calls[i : i + LIST_CALLS_AT_ONCE])

    def _enlistings(self, task_key: str, records: list[Any], notes: _Notes) -> Iterator[Command]:
        prefix = self._connection.prefix
        keys, bucket = task_keys(prefix, task_key), task_bucket(prefix, task_key)
        for i in range(0, len(records), self._limits.entities_a_call):
            calls_key, number = notes.next(bucket)
            arguments = (_pack(records[i : i + self._limits.entities_a_call]), number, task_key)
            yield Command(ENLIST, [*keys, calls_key, bucket.tasks, bucket.moved, bucket.left], arguments)

    def _leaving(self, task_key: str, record_id: str, notes: _Notes) -> Command:
        prefix = self._connection.prefix
        keys, bucket = task_keys(prefix, task_key), task_bucket(prefix, task_key)
        calls_key, number = notes.next(bucket)
        arguments = (record_id, number, task_key, int(self._clock() * 1000))
        return Command(LEAVE, [*keys, calls_key, bucket.tasks, bucket.moved, bucket.left], arguments)

    def _settlings(self, of_buckets: Iterable[list[bytes]], notes: _Notes) -> list[Command]:
        return [
            Command(SETTLE, keys[i : i + SETTLED_A_CALL], (self._era, notes.short_id))
            for keys in of_buckets
            for i in range(0, len(keys), SETTLED_A_CALL)
        ]


async def _all_of(sent: list[asyncio.Future[list[Any]]]) -> list[list[Any]]:
    """The replies of all; where one failed, its error, once none is under way any more."""
    if sent:
        await asyncio.wait(sent)
    # Each is asked: an error that nobody took would be reported as one of its own.
    errors = [error for group in sent if (error := group.exception())]
    if errors:
        raise errors[0]
    return [group.result() for group in sent]


def _by_pair(details: Mapping[str, Folded], entities_a_call: int) -> Iterable[tuple[str, Folded]]:
    """The details, those of one pair together: they are neighbours in an index, and share counters."""
    if len(details) <= entities_a_call:
        return details.items()
    groups: dict[Any, list[tuple[str, Folded]]] = defaultdict(list)
    for item in details.items():
        facts = cast("DetailEvent | None", item[1].facts_event)
        groups[facts and (facts.remote_cluster, facts.repo_name)].append(item)
    return chain.from_iterable(groups.values())


_EFFECTS = {ord(str(effect.value)): effect for effect in Effect}


def _incoming(detail_id: str, detail: Folded) -> tuple[Any, ...]:
    registers = detail.registers
    placement = placement_of(cast("DetailEvent | None", detail.facts_event))
    sums = detail_codec.shortened(sums_of(placement.conflicts, getattr(detail.progress_event, "progress", None)))
    begun_ms = start_ms(registers.start)
    tail = (begun_ms + MS_BIAS).to_bytes(TIME_BYTES, "big") + short_of(detail_id.encode())
    names = placement.names
    packed = detail_codec.pack(registers, names, sums)
    told = names[0] if len(names) == 1 else names
    return (detail_id, placement.pair, registers.outcome[-1:], b"%d" % begun_ms, tail, told, sums, packed)
