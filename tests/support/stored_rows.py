"""Rows as the store would hold them: of events, as the writer makes them; and of entities, written by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from replog.events import parse
from replog.fields import DETAIL, RECORD
from replog.records import MS_BIAS, MS_TOP, Registers
from replog.state import State
from replog.statuses import STATUS_LETTERS
from replog.store.format.detail_codec import pack, shortened
from replog.store.format.index_entries import Sums, placement_of, sums_of
from replog.store.format.rows import StoredDetail, StoredRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replog.entities import Detail, Overview, Record
    from replog.fields import Field
    from replog.records import Tallied
    from tests.support.strategies import Event

_LIMB = 2**32


def state_of(events: Iterable[Event]) -> Any:
    """The state of one entity after its events."""
    state = State()
    for event in events:
        state.fold(parse(json.dumps(event).encode()))
    return state


def detail_of_events(record_id: str, detail_id: str, events: Iterable[Event]) -> StoredDetail:
    """The row of a detail that had these events."""
    return detail_of_state(record_id, detail_id, state_of(events))


def detail_of_state(record_id: str, detail_id: str, state: Any) -> StoredDetail:
    """The row of a detail in this state."""
    placement = placement_of(state.facts_event)
    value = pack(state.registers, placement.names, shortened(_sums_of(state)))
    return StoredDetail(record_id, detail_id.encode(), b"\x01" + state.registers.outcome[-1:] + value)


def record_of_events(record_id: str, events: Iterable[Event], details: Iterable[Iterable[Event]]) -> StoredRecord:
    """The row of a record that had these events, and whose details had theirs."""
    return record_of_states(record_id, state_of(events), [state_of(one) for one in details])


def record_of_states(record_id: str, state: Any, details: Sequence[Any]) -> StoredRecord:
    """The row of a record in this state, and with details in theirs."""
    letters = [detail.registers.outcome[-1:] for detail in details]
    counts = [letters.count(STATUS_LETTERS[status]) for status in ("SUCCESS", "FAILED", "RUNNING")]
    sums = [sum(numbers) for numbers in zip(Sums(), *map(_sums_of, details), strict=True)]
    return _record(record_id, state.registers, [*counts, *sums])


def _sums_of(state: Any) -> Sums:
    conflicts = placement_of(state.facts_event).conflicts
    return sums_of(conflicts, getattr(state.progress_event, "progress", None))


def detail_of(detail: Detail) -> StoredDetail:
    """The row of this detail."""
    blob, node, version = map(_tally, (detail.progress.blob, detail.progress.node, detail.progress.version))
    numbers = f"{blob},{node},{detail.progress.total_size},{version}"
    registers = _registers(detail, DETAIL, detail._asdict(), numbers)
    value = pack(registers, (), 0)
    return StoredDetail(detail.record_id, detail.id.encode(), b"\x01" + registers.outcome[-1:] + value)


def record_of(record: Record) -> StoredRecord:
    """The row of this record."""
    facts = {**record._asdict(), "expected_details": record.overview.expected}
    numbers = _json([record.replicated_bytes, record.total_bytes])
    registers = _registers(record, RECORD, facts, numbers)
    return _record(record.id, registers, numbers_of(record.overview))


def numbers_of(overview: Overview) -> list[int]:
    """A roll-up as a record's row counts and sums it."""
    (size_high, size_low), (skip_high, skip_low) = divmod(overview.total_size, _LIMB), divmod(overview.skip, _LIMB)
    return [
        *(overview.success, overview.failed, overview.running),
        *Sums(size_low, overview.conflict, skip_low, size_high, skip_high),
    ]


def _record(record_id: str, registers: Registers, numbers: list[int]) -> StoredRecord:
    # Neither an empty register nor a zero has a field.
    fields = [*registers, *(b"%d" % number if number else b"" for number in numbers), b"1", b"1620821948813"]
    return StoredRecord(record_id, tuple(field or None for field in fields))


def _registers(entity: Record | Detail, table: Iterable[Field], facts: dict[str, Any], numbers: str) -> Registers:
    known = {row.code: facts[row.name] for row in table if row.code and facts[row.name] is not None}
    ended = _time(entity.last_ms if entity.end_ms is None else entity.end_ms)
    reason = "" if entity.error_reason is None else _json(entity.error_reason)
    return Registers(
        start=b"\x00" + ((MS_TOP << 16 | 999) - int.from_bytes(_time(entity.start_ms), "big")).to_bytes(9, "big"),
        facts=b"\x00\x00" + _time(entity.last_ms) + _json(known).encode() if known else b"",
        outcome=b"\x00\x00" + ended + reason.encode() + STATUS_LETTERS[entity.status],
        progress=b"\x00\x00" + _time(entity.last_ms) + numbers.encode(),
        last=_time(entity.last_ms),
    )


def _time(ms: int) -> bytes:
    return (ms + MS_BIAS << 16).to_bytes(9, "big")


def _tally(tally: Tallied | None) -> str:
    return "null" if tally is None else f"{{{tally.failed},{tally.skip},{tally.success},{tally.total}}}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
