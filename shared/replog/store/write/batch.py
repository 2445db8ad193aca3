"""A batch: events folded by entity in memory, so that the store merges each entity once. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from replog.events import RecordErased, parse
from replog.records import Effect
from replog.state import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from replog.events import Event
    from replog.records import Registers


#: Most task keys that a record is listed under: the smallest by code point of those it was published with.
MOST_TASK_KEYS = 16


class Mergeable(Protocol):
    """One record or detail as the writer merges it.

    ``facts_event`` and ``progress_event`` have the attributes of the events that offered these; None for none.
    """

    @property
    def registers(self) -> Registers:
        """The state as it is stored."""

    @property
    def facts_event(self) -> Any:
        """The event with the facts, from which a detail is indexed."""

    @property
    def progress_event(self) -> Any:
        """The event with the progress, which a detail adds to its record's sums."""

    @property
    def event_types(self) -> Sequence[str]:
        """Types of the events that share the store's effect."""


class MergeableRecord(Protocol):
    """One record in what the writer merges: its own state, if that is known, its task keys, its details."""

    @property
    def record(self) -> Mergeable | None:
        """Its own state."""

    @property
    def task_keys(self) -> Sequence[str]:
        """Keys of its tasks."""

    @property
    def details(self) -> Mapping[str, Mergeable]:
        """Its details by id."""

    @property
    def newest_ms(self) -> int:
        """Time of its newest event, where that may be later than all that is merged here; else 0."""

    @property
    def erased_us(self) -> int | None:
        """Time of an erasure that all of this is later than; None for none."""


class Absorbing(Protocol):
    """A record in a batch that knows what changed nothing in it."""

    @property
    def absorbed(self) -> Sequence[tuple[str, Effect]]:
        """Types of such events, with the effect that they had."""


class MergeableBatch(Protocol):
    """States that the writer merges together, by record, and erasures."""

    @property
    def records(self) -> Mapping[str, MergeableRecord]:
        """The records by id."""

    @property
    def erasures(self) -> Mapping[str, FoldedErasure]:
        """Erasures by record id; they apply before what ``records`` has."""

    @property
    def absorbed(self) -> Mapping[Effect, Counter[str]]:
        """Types of the events that changed nothing in the fold, by the effect that they had there."""

    def part(self, ids: Iterable[str], erased: Mapping[str, int]) -> Self:
        """A batch of these records, without erasures; of those ``erased`` up to a time in us, what is later."""

    def erasures_alone(self) -> Self:
        """A batch of the erasures, without records."""


class Folded(State):
    """One record or detail: the join of its events in this batch, and the types of those that changed it."""

    __slots__ = ("event_types",)

    def __init__(self) -> None:
        super().__init__()
        self.event_types: list[str] = []


class FoldedErasure:
    """The latest erasure of one record in this batch: its time in microseconds, and the types of what moved it on."""

    __slots__ = ("erased_us", "event_types")

    def __init__(self, erased_us: int) -> None:
        self.erased_us = erased_us
        self.event_types: list[str] = []


class FoldedRecord:
    """One record in a batch: its own registers, its task keys, its details, and the events that made them."""

    __slots__ = ("absorbed", "details", "erased_us", "record", "sources", "task_keys")

    #: It is the newest of the events themselves.
    newest_ms: ClassVar[int] = 0

    def __init__(self) -> None:
        self.record: Folded | None = None
        self.task_keys: list[str] = []
        self.details: dict[str, Folded] = defaultdict(Folded)
        #: In the order in which they came, as message values where these were given. If the record turns out to be
        #: erased, the later events are folded again.
        self.sources: list[Event | bytes] = []
        #: Types of the events that changed nothing in the fold, with the effect that they had there.
        self.absorbed: list[tuple[str, Effect]] = []
        #: Time of the erasure that this fold knows of: it has later events alone. None for none.
        self.erased_us: int | None = None

    def own(self, task_key: str | None) -> tuple[Folded, bool]:
        """The record's own fold, and whether ``task_key`` is new among the smallest task keys."""
        if self.record is None:
            self.record = Folded()
        if task_key is None or task_key in self.task_keys:
            return self.record, False
        if len(self.task_keys) == MOST_TASK_KEYS:
            greatest = max(self.task_keys)
            if task_key > greatest:
                return self.record, False
            self.task_keys.remove(greatest)
        self.task_keys.append(task_key)
        return self.record, True

    def later_than(self, erased_us: int) -> FoldedRecord:
        """The fold of the events that are later than an erasure; the others count as superseded.

        A fold keeps the greatest candidates, and the greatest may be erased while a later one is not: so what is left
        is folded again.
        """
        batch = Batch()
        superseded: list[tuple[str, Effect]] = []
        for source in self.sources:
            event = parse(source) if isinstance(source, bytes) else source
            if event.event_us > erased_us:
                batch.add(event, source)
            else:
                superseded.append((event.type, Effect.SUPERSEDED))
        folded = batch.records.popitem()[1] if batch.records else FoldedRecord()
        folded.absorbed += superseded
        folded.sources, folded.erased_us = self.sources, erased_us
        return folded


class Batch:
    """Events folded by record and detail, and erasures by record. ``len`` is the number of events added.

    A batch is what is asked of the store; the answer is a :class:`~replog.store.write.merge_result.MergeResult`.
    """

    def __init__(self) -> None:
        self.records: dict[str, FoldedRecord] = defaultdict(FoldedRecord)
        #: Erasures apply before the events of ``records``, whatever came first.
        self.erasures: dict[str, FoldedErasure] = {}
        self._absorbed_erasures: list[tuple[str, Effect]] = []
        self._added = 0

    def __len__(self) -> int:
        return self._added

    @property
    def absorbed(self) -> dict[Effect, Counter[str]]:
        """Types of the events that changed nothing in the fold, by the effect that they had there."""
        return absorbed_by(self.records.values(), self._absorbed_erasures)

    def part(self, ids: Iterable[str], erased: Mapping[str, int]) -> Batch:
        """A batch of these records, without erasures; of those ``erased`` up to a time in us, the later events."""
        batch = Batch()
        for record_id in ids:
            folded = self.records[record_id]
            batch.records[record_id] = folded.later_than(erased[record_id]) if record_id in erased else folded
        return batch

    def erasures_alone(self) -> Batch:
        """A batch of the erasures, without records."""
        batch = Batch()
        batch.erasures, batch._absorbed_erasures = self.erasures, self._absorbed_erasures
        return batch

    def add(self, event: Event, source: Event | bytes | None = None) -> None:
        """Fold ``event`` into its record or detail.

        ``source`` is its message's value, if the caller keeps that anyway. The event is then kept no longer than it is
        needed: the memory of one serves for the next, which is faster than memory that was not used lately.
        """
        self._added += 1
        detail_id = getattr(event, "detail_id", None)
        if detail_id is None and type(event) is RecordErased:
            self._erase(event)
            return
        record = self.records[event.record_id]
        record.sources.append(event if source is None else source)
        folded, listed = record.own(event.task_key) if detail_id is None else (record.details[detail_id], False)
        effect = folded.fold(event)
        if effect is Effect.APPLIED or listed:
            folded.event_types.append(event.type)
        else:
            record.absorbed.append((event.type, effect))

    def _erase(self, event: RecordErased) -> None:
        erasure = self.erasures.setdefault(event.record_id, FoldedErasure(event.event_us))
        if erasure.event_types and event.event_us <= erasure.erased_us:
            same = event.event_us == erasure.erased_us
            self._absorbed_erasures.append((event.type, Effect.DUPLICATE if same else Effect.SUPERSEDED))
            return
        erasure.erased_us = event.event_us
        erasure.event_types.append(event.type)


def absorbed_by(records: Iterable[Absorbing], others: Iterable[tuple[str, Effect]] = ()) -> dict[Effect, Counter[str]]:
    """Types of the events that changed nothing in the folds of ``records``, by effect, and of ``others``."""
    absorbed: dict[Effect, Counter[str]] = {effect: Counter() for effect in Effect}
    counts = Counter(chain(others, *(record.absorbed for record in records)))
    for (event_type, effect), count in counts.items():
        absorbed[effect][event_type] = count
    return absorbed
