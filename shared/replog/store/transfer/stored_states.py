"""States that come from a store as registers, in the shape in which the writer merges batches. Pure.

The store makes indexes, sums and lists of them by the same scripts as of events.
"""

from __future__ import annotations

from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from replog.fields import DETAIL
from replog.records import Effect, Progressed, facts_content, facts_decoder, progress_of, time_us
from replog.store.write.batch import FoldedErasure, absorbed_by

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Mapping

    from replog.records import Registers
    from replog.store.transfer.register_scan import RecordPart

_detail_facts = facts_decoder(DETAIL, Any)
_NONE: Mapping[str, bytes] = MappingProxyType({})


class _Said(NamedTuple):
    """Stands for the event that offered the progress."""

    progress: Progressed


class StoredState:
    """The state of one record or detail; ``kind``, record or detail, is counted in the place of events' types."""

    __slots__ = ("event_types", "registers")

    def __init__(self, kind: str, registers: Registers) -> None:
        self.registers = registers
        self.event_types = (kind,)

    @property
    def facts_event(self) -> Any:
        """The facts of a detail, by the attributes of events; None where it has none."""
        facts = self.registers.facts
        return _detail_facts(facts_content(facts)) if facts else None

    @property
    def progress_event(self) -> Any:
        """The progress of a detail, likewise."""
        progress = self.registers.progress
        return _Said(progress_of(progress)) if progress else None


class _StatesOfRecord:
    """One record in a batch. All that it has is later than ``erased_us``."""

    __slots__ = ("absorbed", "details", "erased_us", "newest_ms", "record", "task_keys")

    def __init__(self) -> None:
        self.record: StoredState | None = None
        self.task_keys: tuple[str, ...] = ()
        self.details: dict[str, StoredState] = {}
        self.newest_ms = 0
        self.erased_us: int | None = None
        self.absorbed: list[tuple[str, Effect]] = []

    def without_states(self, erased_us: int) -> _StatesOfRecord:
        """The record after a later erasure: of registers alone nobody knows what of them is later."""
        rest = _StatesOfRecord()
        rest.newest_ms, rest.erased_us = self.newest_ms, erased_us
        states = [*self.details.values(), *([self.record] if self.record else [])]
        rest.absorbed = [(kind, Effect.SUPERSEDED) for state in states for kind in state.event_types]
        return rest


class StoredStates:
    """A batch of states: as :class:`replog.store.write.batch.Batch`, of which events made the states.

    The effects that the writer answers count records, details and erasures. ``erasures`` gives generations by record.
    """

    def __init__(self, parts: Iterable[RecordPart] = (), *, erasures: Mapping[str, bytes] = _NONE) -> None:
        self.records: dict[str, _StatesOfRecord] = defaultdict(_StatesOfRecord)
        self.erasures = {of: _erasure(generation) for of, generation in erasures.items()}
        #: Records that the writer found erased up to a later time than the states knew, and that may have had later
        #: events than that. Only the topic knows these.
        self.to_restore: set[str] = set()
        for part in parts:
            self._add(part)

    @property
    def absorbed(self) -> Mapping[Effect, Counter[str]]:
        """The states that an erasure has superseded."""
        return absorbed_by(self.records.values())

    def part(self, ids: Iterable[str], erased: Mapping[str, int]) -> StoredStates:
        """A batch of these records, without erasures; nothing is left of those ``erased`` later than was known."""
        batch = StoredStates()
        batch.to_restore = self.to_restore
        for record_id in ids:
            batch.records[record_id] = self._after(record_id, erased.get(record_id))
        return batch

    def erasures_alone(self) -> StoredStates:
        """A batch of the erasures, without records."""
        batch = StoredStates()
        batch.erasures = self.erasures
        return batch

    def _after(self, record_id: str, erased_us: int | None) -> _StatesOfRecord:
        states = self.records[record_id]
        if erased_us is None or (states.erased_us is not None and states.erased_us >= erased_us):
            return states
        if states.newest_ms >= erased_us // 1000:
            self.to_restore.add(record_id)
        return states.without_states(erased_us)

    def _add(self, part: RecordPart) -> None:
        states = self.records[part.record_id]
        states.newest_ms = max(states.newest_ms, part.newest_ms)
        states.erased_us = time_us(part.generation) if part.generation else None
        if part.registers.start:
            states.record, states.task_keys = StoredState("record", part.registers), part.task_keys
        for detail_id, registers in part.details.items():
            states.details[detail_id] = StoredState("detail", registers)


def _erasure(generation: bytes) -> FoldedErasure:
    erasure = FoldedErasure(time_us(generation))
    erasure.event_types.append("erasure")
    return erasure
