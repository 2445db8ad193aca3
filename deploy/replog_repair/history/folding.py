"""The fold of one record's messages in the order of the topic, with what each of them changes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replog.entities import detail_from, record_from
from replog.errors import InvalidEventError
from replog.events import RecordErased, parse
from replog.fields import DETAIL, RECORD
from replog.records import EMPTY, Effect, Progressed
from replog.store.write.batch import Folded, FoldedRecord
from replog.times import format_time_us
from replog_collector.pipeline.clock_limit import AheadLimit
from replog_repair.history.answers import NO_DETAILS
from replog_repair.message_fields import fields_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replog.events import Event
    from replog.fields import Field
    from replog.records import Registers
    from replog_collector.kafka.source import Message

#: The effect of a message that is no valid event; the others are those of :class:`replog.records.Effect`.
INVALID = "invalid"


@dataclass(frozen=True)
class HistoryEntry:
    """One message of a record: its place, its times, and its effect.

    ``published_ms`` is its timestamp in the topic, ``event_time`` that of the worker. ``changes`` gives, for each field
    that it changed, the value before and after. ``error`` says what is wrong with an invalid one.
    """

    partition: int
    offset: int
    published_ms: int
    event_time: str | None
    type: str | None
    detail_id: str | None
    attempt: int
    effect: str
    changes: Mapping[str, tuple[Any, Any]]
    error: str = ""


class RecordFold:
    """The state of one record and its details. ``max_ahead_s`` is as the collectors' setting."""

    def __init__(self, max_ahead_s: float) -> None:
        self._max_ahead_s = max_ahead_s
        self.folded = FoldedRecord()

    def add(self, message: Message) -> HistoryEntry:
        """Fold the event in ``message``, and return what it did."""
        try:
            event = parse(message.value or b"")
            self._check_clock(event, message.timestamp)
        except InvalidEventError as error:
            fields = fields_of(message.value)
            return self._entry(message, None, fields.type, fields.detail_id, 0, INVALID, {}, f"{error.reason}: {error}")
        return self._applied(message, event)

    def _check_clock(self, event: Event, timestamp_ms: int) -> None:
        # Collectors compare with their own clock, which is hardly ever before the time of publishing.
        limit = AheadLimit(self._max_ahead_s if timestamp_ms >= 0 else 0, clock=lambda: timestamp_ms / 1000)
        latest_us = limit.latest_us()
        if event.event_us > latest_us:
            raise limit.refusal(event, latest_us)

    def _applied(self, message: Message, event: Event) -> HistoryEntry:
        if isinstance(event, RecordErased):
            return self._erased(message, event)
        detail_id = getattr(event, "detail_id", None)
        if self.folded.erased_us is not None and event.event_us <= self.folded.erased_us:
            return self._of_event(message, event, Effect.SUPERSEDED, {})
        self.folded.sources.append(event)
        listed_before, listed = list(self.folded.task_keys), False
        if detail_id is None:
            entity, listed = self.folded.own(event.task_key)
        else:
            entity = self.folded.details[detail_id]
        before = _shown(entity, detail_id)
        effect = entity.fold(event)
        changes = _changes(before, _shown(entity, detail_id), DETAIL if detail_id is not None else RECORD)
        if listed and listed_before:
            changes["taskKeys"] = (sorted(listed_before), sorted(self.folded.task_keys))
            effect = Effect.APPLIED
        return self._of_event(message, event, effect, changes)

    def _erased(self, message: Message, event: RecordErased) -> HistoryEntry:
        known_us = self.folded.erased_us
        if known_us is not None and event.event_us <= known_us:
            effect = Effect.DUPLICATE if event.event_us == known_us else Effect.SUPERSEDED
            return self._of_event(message, event, effect, {})
        self.folded = self.folded.later_than(event.event_us)
        before = None if known_us is None else format_time_us(known_us)
        changes = {"erasedUntil": (before, format_time_us(event.event_us))}
        return self._of_event(message, event, Effect.APPLIED, changes)

    def _of_event(
        self, message: Message, event: Event, effect: Effect, changes: Mapping[str, tuple[Any, Any]]
    ) -> HistoryEntry:
        detail_id, at = getattr(event, "detail_id", None), format_time_us(event.event_us)
        return self._entry(message, at, event.type, detail_id, event.attempt, effect.name.lower(), changes)

    @staticmethod
    def _entry(message: Message, *rest: Any) -> HistoryEntry:
        return HistoryEntry(message.partition, message.offset, message.timestamp, *rest)


def _shown(entity: Folded, detail_id: str | None) -> dict[str, Any]:
    """The fields of a record or detail by their names; empty where it had no event."""
    registers: Registers = entity.registers
    if registers == EMPTY:
        return {}
    shown = (
        record_from("", registers, NO_DETAILS)._asdict()
        if detail_id is None
        else detail_from("", detail_id, registers)._asdict()
    )
    return {name: value for name, value in shown.items() if name not in _NOT_SHOWN}


#: Ids, and the roll-up, which is the details'.
_NOT_SHOWN = {"id", "record_id", "overview"}


def _changes(
    before: Mapping[str, Any], after: Mapping[str, Any], table: tuple[Field, ...]
) -> dict[str, tuple[Any, Any]]:
    rows = {row.name: row for row in table}
    return {
        rows[name].key or rows[name].wire or name: (_value(name, before.get(name)), _value(name, value))
        for name, value in after.items()
        if value != before.get(name, _initial(rows[name]))
    }


def _initial(row: Field) -> Any:
    """The value of a field in an entity without events."""
    return Progressed() if row.name == "progress" else row.default


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name.endswith("_ms"):
        return format_time_us(value * 1000)
    if isinstance(value, Progressed):
        return {
            "blob": value.blob and value.blob._asdict(),
            "node": value.node and value.node._asdict(),
            "version": value.version and value.version._asdict(),
            "totalSize": value.total_size,
        }
    return value
