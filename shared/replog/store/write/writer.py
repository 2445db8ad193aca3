"""Writes batches into the store: each record with its details, indexes and sums in one atomic call."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from uuid import uuid4

import msgpack

from replog.cancellation import cancel_and_wait
from replog.records import FACTS, MS_BIAS, Effect, last_ms, start_ms, time_bytes, time_us
from replog.statuses import LETTERS, RUNNING, STATUS_LETTERS
from replog.store.client.command import Command
from replog.store.client.scripts import ENLIST, ERASE, LEAVE, MERGE, RELIST, RELISTED, SETTLE
from replog.store.format import detail_codec
from replog.store.format.detail_codec import TIME_BYTES
from replog.store.format.index_entries import placement_of, sums_of
from replog.store.format.keys import RecordKeys, task_bucket, task_keys
from replog.store.format.layout import own_mark
from replog.store.format.rows import RECORD_FIELDS
from replog.store.format.short_ids import short_of
from replog.store.write.merge_result import MergeResult, effects_of, transition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from replog.store.client.pipelining import CommandRunner
    from replog.store.client.scripts import Script
    from replog.store.format.keys import BucketKeys
    from replog.store.write.batch import Mergeable, MergeableBatch, MergeableRecord
    from replog.store.write.merge_result import RecordTransition

#: Calls that bring up tasks' lists and are sent together, and records in one call that notes that they are.
LIST_CALLS_AT_ONCE = 5000
SETTLED_A_CALL = 100

_ERA_CHARACTERS = 8
#: Seconds in which calls under way end, where the merge they belong to is cancelled.
CANCEL_S = 2.0
#: Lengths of the answer to a merge call: the effects alone; of one that an erasure refused; the effects and what the
#: lists of tasks need; with a transition.
_EFFECTS_ALONE, _REFUSED, _WITH_LISTS = 2, 3, 6

# Redis 7.0's cmsgpack rejects the bin type: everything goes as raw.
_pack = msgpack.Packer(use_bin_type=False).pack
_LETTERS = b"".join(LETTERS)


def _new_id() -> str:
    return uuid4().hex


class _Part(NamedTuple):
    """One merge call and the folded entities that its answer tells about."""

    record_id: str
    keys: RecordKeys
    call: Command
    record: Mergeable | None
    details: list[Mergeable]
    generation: bytes


#: A call and the answer to it.
_Merged: TypeAlias = tuple[_Part, Any]


class _Notes:
    """The ids under which one try to merge a batch notes its calls. The calls of a failed try stay uncounted."""

    def __init__(self, merge_id: str) -> None:
        self.merge_id = merge_id
        #: Noted in records: tells two concurrent merges of one record apart.
        self.short_id = self.merge_id[:_ERA_CHARACTERS]
        self.calls: Counter[int] = Counter()

    def next(self, bucket: BucketKeys) -> tuple[bytes, int]:
        """The key at which ``bucket`` notes its next call, and the number of that call."""
        self.calls[bucket.number] += 1
        return bucket.calls(self.merge_id), self.calls[bucket.number] - 1


@dataclass(frozen=True)
class Limits:
    """Limits of what is sent to Redis for a batch."""

    #: Entities in one script call: 20 new details of a record of a million take Redis about 1 ms, and nobody else is
    #: served meanwhile.
    entities_a_call: int = 20
    #: Calls that are sent together, while the next are packed.
    calls_at_once: int = 20


_LIMITS = Limits()


class Writer:
    """Merges batches. Merging is idempotent and commutative: after any error, merge the same batch again.

    With ``outbox``, the call that makes a transition also notes it in the bucket's
    :class:`~replog.store.write.outbox.Outbox`. ``new_id`` makes ids that no other writer has.
    """

    def __init__(
        self,
        connection: CommandRunner,
        *,
        clock: Callable[[], float] = time.time,
        limits: Limits = _LIMITS,
        outbox: bool = False,
        new_id: Callable[[], str] = _new_id,
    ) -> None:
        self._connection = connection
        self._new_id = new_id
        self._outbox = outbox
        self._of_outbox = (_pack(RECORD_FIELDS),) if outbox else ()
        self._limits = limits
        self._clock = clock
        self._mark = own_mark()
        #: Transitions answered to merges that failed afterwards; reported with the next result.
        self._unreported: list[RecordTransition] = []
        self.renew()

    def renew(self) -> None:
        """Assume nothing about the tasks' lists that this writer has brought up to date.

        Called before events come again that were merged already: the store may have lost this writer's calls.
        """
        self._era = self._new_id()[:_ERA_CHARACTERS]

    async def merge(self, batch: MergeableBatch) -> MergeResult:
        """Merge ``batch``; returns once Redis has acknowledged all of it.

        Its erasures come first. Of a record that is erased, by this batch or one before, the later events alone are
        merged; the others count as superseded.

        A transition is reported once: a merge that fails keeps those that the store has answered for the next result.
        One whose answer is lost is never reported: the connection or this process ended, the slot moved, or Redis
        refused another call that was sent with it.

        Raises:
            StoreUnavailable: some of it may have been merged; merge it again.
        """
        notes = _Notes(self._new_id())
        effects, erased = await self._erase(batch, notes)
        rest = batch.part(batch.records, erased) if batch.erasures else batch
        while rest.records:
            merged = await self._merge_records(rest, notes)
            refused = {part.record_id: time_us(answer[-1]) for part, answer in merged if len(answer) == _REFUSED}
            done = rest
            if refused:
                merged = [(part, answer) for part, answer in merged if part.record_id not in refused]
                done = rest.part(rest.records.keys() - refused.keys(), {})
            await self._bring_up_lists(merged, notes)
            effects += effects_of(done, _effects(merged))
            rest = rest.part(refused, refused)
        transitions, self._unreported = self._unreported, []
        return MergeResult(effects, transitions, notes.merge_id, notes.calls)

    async def _erase(self, batch: MergeableBatch, notes: _Notes) -> tuple[Counter[tuple[str, Effect]], dict[str, int]]:
        """Apply the erasures of ``batch``; returns their effects, and times in us up to which records are erased."""
        if not batch.erasures:
            return Counter(), {}
        calls = [self._erasure(record_id, folded.erased_us, notes) for record_id, folded in batch.erasures.items()]
        answers = await self._run(calls)
        await self._relist({of: note for of, (_, _, note) in zip(batch.erasures, answers, strict=True) if note}, notes)
        erasures = batch.erasures_alone()
        found = [(folded, Effect(answer[0])) for folded, answer in zip(batch.erasures.values(), answers, strict=True)]
        erased = {of: time_us(known) for of, (_, known, _) in zip(batch.erasures, answers, strict=True)}
        return effects_of(erasures, found), erased

    def _erasure(self, record_id: str, erased_us: int, notes: _Notes) -> Command:
        keys = RecordKeys(self._connection.prefix, record_id)
        bucket = keys.bucket
        calls_key, number = notes.next(bucket)
        of_bucket = [bucket.due, bucket.running, bucket.unfinished, bucket.leaving, calls_key]
        of_erasures = [bucket.erased, bucket.erased_at, bucket.relisting, bucket.restoring]
        now_ms = int(self._clock() * 1000)
        arguments = (record_id, time_bytes(erased_us), erased_us // 1000, now_ms, number, self._mark)
        return Command(ERASE, [*keys.all, *of_bucket, *of_erasures, bucket.layout, bucket.outbox], arguments)

    async def _relist(self, relisting: Mapping[str, bytes], notes: _Notes) -> None:
        """Take off tasks' lists what they have of erased records, by the notes in ``relisting``, and note that."""
        calls, settled = [], defaultdict[bytes, list[Any]](list)
        for record_id, note in relisting.items():
            generation, tasks = msgpack.unpackb(note, raw=True)
            calls += [self._of_list(RELIST, task_key.decode(), record_id, generation, notes) for task_key in tasks]
            settled[RecordKeys(self._connection.prefix, record_id).bucket.relisting] += [record_id, note]
        await self._run(calls)
        await self._run(
            [
                Command(RELISTED, [key], of[i : i + 2 * SETTLED_A_CALL])
                for key, of in settled.items()
                for i in range(0, len(of), 2 * SETTLED_A_CALL)
            ]
        )

    async def _merge_records(self, batch: MergeableBatch, notes: _Notes) -> list[_Merged]:
        """Merge all records of ``batch``; calls are packed while those before them are under way."""
        made = (part for record_id, folded in batch.records.items() for part in self._parts(record_id, folded, notes))
        groups: list[list[_Part]] = []
        sent: list[asyncio.Task[list[Any]]] = []
        try:
            while group := list(islice(made, self._limits.calls_at_once)):
                groups.append(group)
                running = self._connection.run([part.call for part in group])
                sent.append(asyncio.create_task(running, name="merge calls"))
                # The event loop has to run once for these to leave: Redis merges them while the next are packed.
                await asyncio.sleep(0)
            if sent:
                await asyncio.wait(sent)
        finally:
            await cancel_and_wait(sent, timeout_s=CANCEL_S)
            # All are retrieved: asyncio would log an error that nobody retrieved.
            errors = {task: error for task in sent if (error := _error_of(task))}
        answered = [(group, task.result()) for group, task in zip(groups, sent, strict=True) if task not in errors]
        merged = [pair for group, answers in answered for pair in zip(group, answers, strict=True)]
        self._unreported += [_transition(part, answer) for part, answer in merged if len(answer) > _WITH_LISTS]
        for error in errors.values():
            raise error
        return merged

    def _parts(self, record_id: str, folded: MergeableRecord, notes: _Notes) -> Iterator[_Part]:
        keys = RecordKeys(self._connection.prefix, record_id)
        bucket = keys.bucket
        head = [*keys.all, bucket.due, bucket.removed]
        tail = [bucket.running, bucket.unfinished, bucket.claimed, bucket.layout, bucket.erased, bucket.erased_at]
        if self._outbox:
            tail.append(bucket.outbox)
        generation = b"" if folded.erased_us is None else time_bytes(folded.erased_us)
        record, now_ms = folded.record, int(self._clock() * 1000)
        packed_record = _pack([*record.registers, *folded.task_keys]) if record else b""
        details = iter(_by_pair(folded.details, self._limits.entities_a_call))
        while (chunk := list(islice(details, self._limits.entities_a_call))) or record:
            packed = _pack([place for item in chunk for place in _incoming(*item)]) if chunk else b""
            parts = [detail for _, detail in chunk] + ([record] if record else [])
            newest_ms = max(last_ms(max(part.registers.last for part in parts)), folded.newest_ms)
            calls_key, number = notes.next(bucket)
            call = Command(
                MERGE,
                [*head, calls_key, *tail],
                (
                    packed_record,
                    packed,
                    record_id,
                    newest_ms,
                    now_ms,
                    number,
                    self._era,
                    notes.short_id,
                    FACTS.order,
                    STATUS_LETTERS[RUNNING],
                    self._mark,
                    generation,
                    _LETTERS,
                    *self._of_outbox,
                ),
            )
            yield _Part(record_id, keys, call, record, [detail for _, detail in chunk], generation)
            record, packed_record = None, b""

    async def _bring_up_lists(self, merged: list[_Merged], notes: _Notes) -> None:
        """Bring the lists of tasks up to date, where merges have found them behind, and note that they are."""
        listed: dict[bytes, list[Any]] = defaultdict(list)
        left: list[tuple[bytes, str, bytes]] = []
        behind: dict[int, list[bytes]] = defaultdict(list)
        for part, answer in merged:
            if len(answer) <= _EFFECTS_ALONE:
                continue
            start, outcome, tasks, gone = answer[_EFFECTS_ALONE:_WITH_LISTS]
            for task_key in msgpack.unpackb(tasks, raw=True):
                listed[task_key].append((part.record_id, start, outcome, part.generation))
            if gone:
                left += [(task_key, part.record_id, part.generation) for task_key in msgpack.unpackb(gone, raw=True)]
            behind[part.keys.bucket.number].append(part.keys.record)
        calls = [call for key, records in listed.items() for call in self._enlistings(key.decode(), records, notes)]
        calls += [self._of_list(LEAVE, key.decode(), record_id, of, notes) for key, record_id, of in left]
        await self._run(calls)
        await self._run(self._settlings(behind.values(), notes))

    async def _run(self, calls: list[Command]) -> list[Any]:
        answers: list[Any] = []
        for i in range(0, len(calls), LIST_CALLS_AT_ONCE):
            answers += await self._connection.run(calls[i : i + LIST_CALLS_AT_ONCE])
        return answers

    def _enlistings(self, task_key: str, records: list[Any], notes: _Notes) -> Iterator[Command]:
        prefix = self._connection.prefix
        keys, bucket = task_keys(prefix, task_key), task_bucket(prefix, task_key)
        for i in range(0, len(records), self._limits.entities_a_call):
            calls_key, number = notes.next(bucket)
            packed, now_ms = _pack(records[i : i + self._limits.entities_a_call]), int(self._clock() * 1000)
            of_bucket = [bucket.tasks, bucket.moved, bucket.left, bucket.layout, bucket.listed, bucket.listed_at]
            yield Command(ENLIST, [*keys, calls_key, *of_bucket], (packed, number, task_key, self._mark, now_ms))

    def _of_list(self, script: Script, task_key: str, record_id: str, generation: bytes, notes: _Notes) -> Command:
        """A call of a script that takes one record off the list of one task."""
        prefix = self._connection.prefix
        keys, bucket = task_keys(prefix, task_key), task_bucket(prefix, task_key)
        calls_key, number = notes.next(bucket)
        of_bucket = [bucket.tasks, bucket.moved, bucket.left, bucket.listed, bucket.listed_at]
        arguments = (record_id, number, task_key, int(self._clock() * 1000), generation)
        return Command(script, [*keys, calls_key, *of_bucket], arguments)

    def _settlings(self, of_buckets: Iterable[list[bytes]], notes: _Notes) -> list[Command]:
        return [
            Command(SETTLE, keys[i : i + SETTLED_A_CALL], (self._era, notes.short_id))
            for keys in of_buckets
            for i in range(0, len(keys), SETTLED_A_CALL)
        ]


def _error_of(task: asyncio.Task[Any]) -> BaseException | None:
    """The error that ``task`` has ended with, if any; a cancellation is none."""
    return task.exception() if task.done() and not task.cancelled() else None


def _effects(merged: list[_Merged]) -> Iterator[tuple[Mergeable, Effect]]:
    for part, answer in merged:
        for detail, digit in zip(part.details, answer[0], strict=True):
            yield detail, _EFFECTS[digit]
        if part.record:
            yield part.record, Effect(answer[1])


def _transition(part: _Part, answer: list[Any]) -> RecordTransition:
    before, facts = answer[_WITH_LISTS:]
    return transition_of(part.record_id, before=before, outcome=answer[3], facts=facts)


def _by_pair(details: Mapping[str, Mergeable], entities_a_call: int) -> Iterable[tuple[str, Mergeable]]:
    """The details grouped by pair: those of one pair are neighbours in an index, and share counters."""
    if len(details) <= entities_a_call:
        return details.items()
    groups: dict[Any, list[tuple[str, Mergeable]]] = defaultdict(list)
    for item in details.items():
        facts = item[1].facts_event
        groups[facts and (facts.remote_cluster, facts.repo_name)].append(item)
    return chain.from_iterable(groups.values())


_EFFECTS = {ord(str(effect.value)): effect for effect in Effect}


def _incoming(detail_id: str, detail: Mergeable) -> tuple[Any, ...]:
    registers = detail.registers
    placement = placement_of(detail.facts_event)
    sums = detail_codec.shortened(sums_of(placement.conflicts, getattr(detail.progress_event, "progress", None)))
    tail = (start_ms(registers.start) + MS_BIAS).to_bytes(TIME_BYTES, "big") + short_of(detail_id.encode())
    names = placement.names
    packed = detail_codec.pack(registers, names, sums)
    texts = names[0] if len(names) == 1 else names
    return (detail_id, placement.pair, registers.outcome[-1:], tail, texts, sums, packed)
