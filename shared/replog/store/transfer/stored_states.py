"""States that come from a store as registers, in the shape in which the writer merges batches. Pure.

The store makes indexes, sums and lists of them by the same scripts as of events.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from replog.fields import DETAIL
from replog.records import Effect, Progressed, facts_content, facts_decoder, progress_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from replog.records import Registers
    from replog.store.transfer.register_scan import RecordPart

_detail_facts = facts_decoder(DETAIL, Any)


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
    """One record in a batch."""

    __slots__ = ("details", "newest_ms", "record", "task_keys")

    def __init__(self) -> None:
        self.record: StoredState | None = None
        self.task_keys: tuple[str, ...] = ()
        self.details: dict[str, StoredState] = {}
        self.newest_ms = 0


class StoredStates:
    """A batch of states: as :class:`replog.store.write.batch.Batch`, of which events made the states.

    The effects that the writer answers count records and details.
    """

    def __init__(self, parts: Iterable[RecordPart] = ()) -> None:
        self.records: dict[str, _StatesOfRecord] = defaultdict(_StatesOfRecord)
        self.absorbed: Mapping[Effect, Counter[str]] = {effect: Counter() for effect in Effect}
        for part in parts:
            self._add(part)

    def _add(self, part: RecordPart) -> None:
        states = self.records[part.record_id]
        states.newest_ms = max(states.newest_ms, part.newest_ms)
        if part.registers.start:
            states.record, states.task_keys = StoredState("record", part.registers), part.task_keys
        for detail_id, registers in part.details.items():
            states.details[detail_id] = StoredState("detail", registers)
