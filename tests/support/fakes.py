"""Fakes of the collector's ports. tests/contract runs one suite over each fake and what it stands for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import msgpack

from replog.errors import BrokerUnavailable, StoreRefused, StoreRewound, StoreUnavailable
from replog.records import EMPTY, Effect, Registers, fold, outcome_order
from replog.store.format.keys import bucket_of
from replog.store.format.rows import RECORD_FIELDS, StoredRecord
from replog.store.write.merge_result import MergeResult, effects_of, transition_of
from replog.store.write.offsets import CheckpointRange
from replog.store.write.outbox import OutboxEntry
from replog_collector.kafka.offsets.positions import Positions
from replog_collector.kafka.source import Polled, Standing, TopicSnapshot, Unreadable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from cloudevents.core.base import BaseCloudEvent

    from replog.store.write.batch import Batch, Folded
    from replog.store.write.merge_result import RecordTransition
    from replog.store.write.offsets import Moment, Reached, Span
    from replog_collector.kafka.dead_letters import DeadLetter
    from replog_collector.kafka.source import Message

_pack = msgpack.Packer(use_bin_type=False).pack


@dataclass(frozen=True)
class FakeMessage:
    """A message as the source gives it."""

    value: bytes | None
    partition: int = 0
    offset: int = 0
    timestamp: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


class MemoryOutbox:
    """The outbox without Redis. ``failures`` are raised first, one a call."""

    page = 1

    def __init__(self) -> None:
        self.entries: dict[int, dict[bytes, OutboxEntry]] = {}
        self.failures: list[StoreUnavailable] = []
        #: What the clock of the collector shows that merges.
        self.clock_ms = 0

    def note(self, record_id: str, registers: Registers) -> None:
        """Do what the merge does that makes a transition."""
        known: dict[str, bytes] = {**registers._asdict(), "v": b"1", "w": b"%d" % self.clock_ms}
        fields = [known.get(name, b"") for name in RECORD_FIELDS]
        record = StoredRecord(record_id, tuple(value or None for value in fields))
        # Two outcomes of one time and attempt are two entries.
        packed = _pack([*chain.from_iterable(zip(RECORD_FIELDS, fields, strict=True))])
        number, member = bucket_of(record_id), record_id.encode() + b"\0" + outcome_order(registers.outcome) + packed
        self.entries.setdefault(number, {})[member] = OutboxEntry(number, member, record)

    async def read(self, after: Mapping[int, bytes]) -> list[OutboxEntry]:
        """The first entry of each bucket behind those given."""
        self._fail()
        found = {
            number: sorted(member for member in self.entries.get(number, {}) if member > at)
            for number, at in after.items()
        }
        return [self.entries[number][members[0]] for number, members in found.items() if members]

    async def remove(self, entries: Iterable[OutboxEntry]) -> None:
        """Remove entries; unknown ones are passed over."""
        self._fail()
        for entry in entries:
            self.entries[entry.bucket].pop(entry.member, None)

    async def size(self) -> int:
        """The number of all entries."""
        self._fail()
        return sum(map(len, self.entries.values()))

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


class MemoryOutcomeTopic:
    """The outcomes topic without Kafka. ``failures`` are raised first, one a call."""

    def __init__(self) -> None:
        self.events: list[BaseCloudEvent] = []
        self.failures: list[BrokerUnavailable] = []

    async def send(self, events: Sequence[BaseCloudEvent]) -> None:
        """Keep the outcomes, in order."""
        if self.failures:
            raise self.failures.pop(0)
        self.events.extend(events)


class MemoryStore:
    """The store without Redis. ``failures`` are raised first, one a call; ``broken`` records are refused."""

    def __init__(self, outbox: MemoryOutbox | None = None) -> None:
        self.outbox = outbox
        self.states: dict[tuple[str, str | None], Registers] = {}
        self.task_keys: dict[str, set[str]] = {}
        #: By record, up to which time it is erased, in us.
        self.erased: dict[str, int] = {}
        self.failures: list[StoreUnavailable] = []
        self.broken: set[str] = set()
        self.merged = asyncio.Event()
        #: How often it was told that what was merged comes again.
        self.renewals = 0

    def renew(self) -> None:
        """Count that events come again."""
        self.renewals += 1

    async def merge(self, batch: Batch) -> MergeResult:
        """As :class:`replog_collector.pipeline.merging.Store`."""
        if self.failures:
            raise self.failures.pop(0)
        if self.broken & batch.records.keys():
            raise StoreRefused("WRONGTYPE")
        answers: list[tuple[Folded, Effect]] = []
        transitions: list[RecordTransition] = []
        erasures = [(folded, self._erase(of, folded.erased_us)) for of, folded in batch.erasures.items()]
        known = {of: until_us for of, until_us in self.erased.items() if of in batch.records}
        effects = effects_of(batch.erasures_alone(), erasures)
        batch = batch.part(batch.records, known)
        for record_id, record in batch.records.items():
            entities: list[tuple[str | None, Folded]] = [*record.details.items()]
            if record.record:
                entities.append((None, record.record))
            for detail_id, folded in entities:
                state = self.states.get((record_id, detail_id), EMPTY)
                joined, effect = fold(state, folded.registers)
                self.states[record_id, detail_id] = joined
                if detail_id is None and _is_transition(state.outcome, joined.outcome):
                    transitions.append(
                        transition_of(record_id, before=state.outcome[-1:], outcome=joined.outcome, facts=joined.facts)
                    )
                    if self.outbox:
                        self.outbox.note(record_id, joined)
                listed = detail_id is None and self._list(record_id, record.task_keys)
                answers.append((folded, Effect.APPLIED if listed else effect))
        self.merged.set()
        return MergeResult(effects + effects_of(batch, answers), transitions, "", {})

    def _erase(self, record_id: str, until_us: int) -> Effect:
        known = self.erased.get(record_id)
        if known is not None and until_us <= known:
            return Effect.DUPLICATE if until_us == known else Effect.SUPERSEDED
        self.erased[record_id] = until_us
        self.states = {key: state for key, state in self.states.items() if key[0] != record_id}
        self.task_keys.pop(record_id, None)
        return Effect.APPLIED

    def _list(self, record_id: str, task_keys: list[str]) -> bool:
        known = self.task_keys.get(record_id, set())
        self.task_keys[record_id] = {*sorted(known.union(task_keys))[:16]}
        return self.task_keys[record_id] != known


def _is_transition(before: bytes, after: bytes) -> bool:
    ends = (b"S", b"F")
    return before != after and (after.endswith(ends) or before.endswith(ends))


class MemoryCheckpoints:
    """The checkpoints without Redis. ``failures`` are raised first, one a call; while ``away``, every call fails."""

    def __init__(self) -> None:
        self.stored: dict[int, int] = {}
        self.failures: list[StoreUnavailable] = []
        self.away = False
        #: What was told last to be reached, by partition.
        self.moments: dict[int, Moment] = {}
        #: Whether the store has lost calls that it acknowledged since the checkpoints were moved on.
        self.lost_calls = False

    async def read_ranges(self, partitions: Collection[int]) -> dict[int, CheckpointRange | None]:
        """The checkpoints of these partitions; None for those that have none."""
        self._fail()
        stored = {number: self.stored.get(number) for number in partitions}
        return {number: None if at is None else CheckpointRange(at, at) for number, at in stored.items()}

    async def begin(self, positions: Mapping[int, int]) -> None:
        """Set checkpoints."""
        self._fail()
        self.stored.update(positions)

    async def advance(
        self, spans: Mapping[int, Span], merges: Iterable[MergeResult], reached: Reached | None = None
    ) -> None:
        """Move checkpoints over ``spans``. Raises StoreRewound where one stands before its span, or calls are lost."""
        self._fail()
        lost, self.lost_calls = self.lost_calls and any(True for _ in merges), False
        if lost or any(self.stored.get(number, -1) < span.begin for number, span in spans.items()):
            raise StoreRewound("something is missing")
        self.stored.update({number: max(self.stored[number], span.end) for number, span in spans.items()})
        moments = reached.moments if reached else {}
        self.moments |= {number: of for number, of in moments.items() if self.stored.get(number, -1) >= of.offset}

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if self.away:
            raise StoreUnavailable("connection", "away")


@dataclass
class MemoryTopic:
    """A topic of one partition, and what its group has committed. One transaction at most is open."""

    #: By offset; None is what takes an offset and is no message of its own.
    messages: list[FakeMessage | Unreadable | None] = field(default_factory=list)
    committed: int = 0
    #: Where the transaction that is open began.
    opened_at: int | None = None

    def publish(self, value: bytes | None, key: bytes | None = None) -> None:
        """Add one message."""
        self.messages.append(FakeMessage(value, offset=len(self.messages), key=key))

    def publish_unreadable(self, error: str, *, messages: int = 1, **parts: Any) -> None:
        """Add one message, or a batch of some, of which no more than ``parts`` can be read."""
        first = len(self.messages)
        self.messages.append(Unreadable(0, first, error, last=first + messages - 1, **parts))
        self.messages += [None] * (messages - 1)

    def open_transaction(self, value: bytes, key: bytes | None = None) -> None:
        """Add one message of a transaction that is open."""
        self.opened_at = len(self.messages)
        self.publish(value, key)

    def end_transaction(self, *, commit: bool = True) -> None:
        """Commit or abort what :meth:`open_transaction` added; without one, an empty one ends."""
        if self.opened_at is not None and not commit:
            self.messages[self.opened_at] = None
        self.messages.append(None)
        self.opened_at = None

    def make_anew(self) -> None:
        """Delete the topic, with what the group has committed in it, and make it again."""
        self.messages.clear()
        self.committed, self.opened_at = 0, None

    @property
    def stable(self) -> int:
        """The offset up to which the topic can be read."""
        return len(self.messages) if self.opened_at is None else self.opened_at


class MemorySource:
    """:class:`replog_collector.kafka.source.Source` on a :class:`MemoryTopic`."""

    def __init__(self, topic: MemoryTopic, checkpoints: MemoryCheckpoints) -> None:
        self.topic = topic
        self.checkpoints = checkpoints
        self.commit_fails = False
        self.failures: list[BrokerUnavailable] = []
        self.paused_polls = 0
        #: What the source's clock shows when the broker is asked.
        self.clock_ms = 0
        self.snapshot: TopicSnapshot | None = None
        #: Whether the group moves partitions.
        self.moving = False
        #: Whether a poll waits until there is something to read, however long; else it returns at once.
        self.waits = False
        self._position: int | None = None
        self._epochs = count()
        self._positions = Positions(self._epochs)

    @property
    def positions(self) -> Mapping[int, int]:
        """The offset of the next message to apply, of the one partition."""
        return self._positions.applied

    @property
    def epochs(self) -> Mapping[int, int]:
        """The epoch of the one partition."""
        return self._positions.epochs

    async def start(self) -> None:
        """Take the partition, from where its checkpoint and the group's commit say."""
        checkpoint = (await self.checkpoints.read_ranges([0]))[0]
        self._position = 0 if checkpoint is None else min(self.topic.committed, checkpoint.lowest)
        if checkpoint is None:
            await self.checkpoints.begin({0: 0})
        self._positions.begin(0, self._position, committed=self.topic.committed)
        self.topic.committed = self._position

    async def stop(self) -> None:
        """Give the partition back; commits nothing."""
        self._position, self._positions = None, Positions(self._epochs)

    async def rewind(self) -> None:
        """Go back to the checkpoint."""
        await self.start()

    def give_up(self) -> None:
        """The group takes the partition, and gives it back: where to begin is decided with the next poll."""
        self._position, self._positions = None, Positions(self._epochs)

    async def poll(self, timeout_s: float, *, paused: bool = False) -> Polled:
        """The next messages; ``failures`` are raised first, one a call."""
        if self.failures:
            raise self.failures.pop(0)
        if self._position is None:
            await self.start()
        assert self._position is not None
        if self._position > len(self.topic.messages):
            await self._begin_again()
        self.snapshot = TopicSnapshot(self.clock_ms, 1, {0: len(self.topic.messages)})
        if paused:
            self.paused_polls += 1
            await asyncio.sleep(0)
            return Polled()
        while self.waits and self._position >= self.topic.stable:
            await asyncio.sleep(0)
        readable = self.topic.messages[self._position : self.topic.stable]
        messages: list[Message] = [message for message in readable if isinstance(message, FakeMessage)]
        unreadable = [message for message in readable if isinstance(message, Unreadable)]
        self._position += len(readable)
        spans = self._positions.poll({0: self._position})
        await asyncio.sleep(0)
        return Polled(messages, spans, unreadable)

    async def _begin_again(self) -> None:
        """Begin at the first offset of a topic that was made anew."""
        await self.checkpoints.begin({0: 0})
        self._position = 0
        self._positions.begin(0, 0, committed=self.topic.committed)

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit offsets, and never back."""
        self._positions.apply(offsets)
        if self.commit_fails:
            raise BrokerUnavailable("the group is rebalancing")
        self.topic.committed = self._positions.uncommitted.get(0, self.topic.committed)

    async def check(self) -> None:
        """Return where it is started. Raises BrokerUnavailable."""
        if self._position is None:
            raise BrokerUnavailable("not connected")

    def standings(self) -> dict[int, Standing]:
        """Position and end of the partition, once it has begun."""
        return {number: Standing(at, max(at, self.topic.stable)) for number, at in self.positions.items()}


@dataclass
class MemoryGroup:
    """A topic of one partition, and what a group has committed."""

    messages: list[Any] = field(default_factory=list)
    committed: int = 0


class MemoryGroupReader:
    """:class:`replog_collector.topics.group_reader.GroupReader` on a :class:`MemoryGroup`; a poll returns two messages.

    ``failures`` and ``commit_failures`` are raised first, one a call.
    """

    def __init__(self, group: MemoryGroup) -> None:
        self.group = group
        self.failures: list[BrokerUnavailable] = []
        self.commit_failures: list[BrokerUnavailable] = []
        self.assignment = 0
        #: Set once a poll found nothing.
        self.empty = asyncio.Event()
        self._position: int | None = None
        self._done: int | None = None

    async def poll(self, timeout_s: float) -> list[Any]:
        """The next two messages at most; ``failures`` are raised first, one a call."""
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        if self._position is None:
            self._position = self.group.committed
        found = self.group.messages[self._position : self._position + 2]
        self._position += len(found)
        if not found:
            self.empty.set()
        return found

    def done(self, message: Any) -> None:
        """Note that everything up to ``message`` is done with."""
        self._done = message.offset + 1

    async def commit(self) -> None:
        """Commit what is done with; ``commit_failures`` are raised first."""
        if self.commit_failures:
            raise self.commit_failures.pop(0)
        if self._done is not None:
            self.group.committed, self._done = self._done, None

    async def stop(self) -> None:
        """Leave the group."""
        self.move()

    def move(self) -> None:
        """The group moves the partition, here to the same member."""
        self.assignment += 1
        self._position = self._done = None


class MemoryDeadLetters:
    """Keeps dead letters. ``failures`` are raised first, one a call."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.failures: list[BrokerUnavailable] = []

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Keep the letters, in order."""
        if self.failures:
            raise self.failures.pop(0)
        self.letters.extend(letters)
