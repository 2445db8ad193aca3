"""A batch: events folded in memory, so that the store is asked once for what belongs together. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from replog.records import EMPTY, Effect, Registers, fold, registers_of

if TYPE_CHECKING:
    from replog.events import DetailEvent, RecordEvent


class Folded:
    """One record or detail: the join of its events in this batch, and which of them made it."""

    __slots__ = ("event_types", "registers")

    def __init__(self) -> None:
        self.registers: Registers = EMPTY
        self.event_types: list[str] = []


class FoldedRecord:
    """What a batch holds of one record: its own registers, its task keys, its details."""

    __slots__ = ("details", "record", "task_keys")

    def __init__(self) -> None:
        self.record: Folded | None = None
        self.task_keys: list[str] = []
        self.details: dict[str, Folded] = {}


class Batch:
    """Events folded by record and detail. ``len`` is the number of events added.

    What an event did is known once the store has merged its entity: events that changed the folded state share the
    store's answer for it, the others changed nothing already here. ``effects`` counts ``(event type, effect)``.
    """

    def __init__(self) -> None:
        self.records: dict[str, FoldedRecord] = {}
        self.effects: Counter[tuple[str, Effect]] = Counter()
        self._added = 0

    def __len__(self) -> int:
        return self._added

    def add(self, event: RecordEvent | DetailEvent) -> None:
        """Fold ``event`` in."""
        self._added += 1
        folded, listed = self._folded(event)
        folded.registers, effect = fold(folded.registers, registers_of(event))
        if effect is Effect.APPLIED or listed:
            folded.event_types.append(event.type)
        else:
            self.effects[event.type, effect] += 1

    def merged(self, folded: Folded, effect: Effect) -> None:
        """Take the store's answer for one entity of this batch."""
        for event_type in folded.event_types:
            self.effects[event_type, effect] += 1

    def _folded(self, event: RecordEvent | DetailEvent) -> tuple[Folded, bool]:
        """What ``event`` is folded into, and whether it names a task of its record for the first time here."""
        record = self.records.get(event.record_id)
        if record is None:
            record = self.records[event.record_id] = FoldedRecord()
        detail_id = getattr(event, "detail_id", None)
        if detail_id is not None:
            detail = record.details.get(detail_id)
            if detail is None:
                detail = record.details[detail_id] = Folded()
            return detail, False
        listed = event.task_key is not None and event.task_key not in record.task_keys
        if event.task_key is not None and listed:
            record.task_keys.append(event.task_key)
        if record.record is None:
            record.record = Folded()
        return record.record, listed
