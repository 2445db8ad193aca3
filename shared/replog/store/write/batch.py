"""A batch: events folded in memory, so that the store is asked once for what belongs together. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from replog.records import Effect
from replog.state import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replog.events import DetailEvent, RecordEvent


#: Task keys that a record is listed under: the smallest by code point of those it was published with.
MOST_TASK_KEYS = 16


class Folded(State):
    """One record or detail: the join of its events in this batch, and which of them made it."""

    __slots__ = ("event_types",)

    def __init__(self) -> None:
        super().__init__()
        #: The types of those that changed it.
        self.event_types: list[str] = []


class FoldedRecord:
    """What a batch holds of one record: its own registers, its task keys, its details."""

    __slots__ = ("details", "record", "task_keys")

    def __init__(self) -> None:
        self.record: Folded | None = None
        self.task_keys: list[str] = []
        self.details: dict[str, Folded] = defaultdict(Folded)

    def own(self, task_key: str | None) -> tuple[Folded, bool]:
        """What its own events are folded into, and whether ``task_key`` is new among the smallest that they name."""
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


class MergeReceipt(NamedTuple):
    """What the store acknowledged of a batch: an id of the merge, and by bucket how many calls it took."""

    merge_id: str
    calls: Mapping[int, int]


class Batch:
    """Events folded by record and detail. ``len`` is the number of events added.

    What an event did is known once the store has merged its entity: events that changed the folded state share the
    store's answer for it, the others changed nothing already here. ``effects`` counts ``(event type, effect)``.
    """

    def __init__(self) -> None:
        self.records: dict[str, FoldedRecord] = defaultdict(FoldedRecord)
        #: How the store took it.
        self.receipt = MergeReceipt("", {})
        self._types: dict[Effect, Counter[str]] = {effect: Counter() for effect in Effect}
        self._added = 0

    def __len__(self) -> int:
        return self._added

    @property
    def effects(self) -> Counter[tuple[str, Effect]]:
        """How many events did what, as far as it is known."""
        return Counter({(name, effect): n for effect, types in self._types.items() for name, n in types.items()})

    def add(self, event: RecordEvent | DetailEvent) -> None:
        """Fold ``event`` in."""
        self._added += 1
        record = self.records[event.record_id]
        detail_id = getattr(event, "detail_id", None)
        folded, listed = record.own(event.task_key) if detail_id is None else (record.details[detail_id], False)
        effect = folded.fold(event)
        if effect is Effect.APPLIED or listed:
            folded.event_types.append(event.type)
        else:
            self._types[effect][event.type] += 1

    def merged(self, folded: Folded, effect: Effect) -> None:
        """Take the store's answer for one entity of this batch."""
        self._types[effect].update(folded.event_types)
