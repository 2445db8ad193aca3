"""A batch: events folded by entity in memory, so that the store merges each entity once. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from replog.records import Effect
from replog.state import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replog.events import DetailEvent, RecordEvent
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


class MergeableBatch(Protocol):
    """States that the writer merges together, by record."""

    @property
    def records(self) -> Mapping[str, MergeableRecord]:
        """The records by id."""

    @property
    def absorbed(self) -> Mapping[Effect, Counter[str]]:
        """Types of the events that changed nothing in the fold, by the effect that they had there."""


class Folded(State):
    """One record or detail: the join of its events in this batch, and the types of those that changed it."""

    __slots__ = ("event_types",)

    def __init__(self) -> None:
        super().__init__()
        self.event_types: list[str] = []


class FoldedRecord:
    """One record in a batch: its own registers, its task keys, its details."""

    __slots__ = ("details", "record", "task_keys")

    #: It is the newest of the events themselves.
    newest_ms: ClassVar[int] = 0

    def __init__(self) -> None:
        self.record: Folded | None = None
        self.task_keys: list[str] = []
        self.details: dict[str, Folded] = defaultdict(Folded)

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


class Batch:
    """Events folded by record and detail. ``len`` is the number of events added.

    A batch is what is asked of the store; the answer is a :class:`~replog.store.write.merge_result.MergeResult`.
    """

    def __init__(self) -> None:
        self.records: dict[str, FoldedRecord] = defaultdict(FoldedRecord)
        #: Types of the events that changed nothing in the fold, by the effect that they had there.
        self.absorbed: dict[Effect, Counter[str]] = {effect: Counter() for effect in Effect}
        self._added = 0

    def __len__(self) -> int:
        return self._added

    def add(self, event: RecordEvent | DetailEvent) -> None:
        """Fold ``event`` into its record or detail."""
        self._added += 1
        record = self.records[event.record_id]
        detail_id = getattr(event, "detail_id", None)
        folded, listed = record.own(event.task_key) if detail_id is None else (record.details[detail_id], False)
        effect = folded.fold(event)
        if effect is Effect.APPLIED or listed:
            folded.event_types.append(event.type)
        else:
            self.absorbed[effect][event.type] += 1
