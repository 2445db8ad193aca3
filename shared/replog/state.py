"""Candidates that an event offers to the registers of its entity, and the state that events make in memory. Pure.

:class:`State` compares order keys as integers, before anything is encoded: of a batch's events most are superseded by
the next, and only what is left at the end becomes the byte strings of :mod:`replog.records`. Both forms of an order
key sort alike, so that folding events and then encoding is encoding each and taking the greatest.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from msgspec import Struct, defstruct, json

from replog.events import TYPES, DetailFinished, RecordErased, RecordFinished
from replog.records import EMPTY, FACTS, MS_TOP, Effect, FactsFormat, Registers
from replog.records import TIME_BYTES as _TIME_BYTES
from replog.records import time_bytes as _time
from replog.records import time_stamp as _stamp
from replog.statuses import FAILED, RUNNING, STATUS_LETTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from replog.events import Event, Progress, RecordProgressed, Tally

# An order key is one integer. Its lowest bits are a time: all microseconds of the years 1 to 9999 lie within 2^59 of 0.
# An attempt, below 2^63, stands before it, and what outweighs both stands before them.
_TIME_BITS = 60
_FINISHED = 1 << _TIME_BITS
_FINAL_ATTEMPT_BITS = _TIME_BITS + 1
_STARTED = 1 << (_TIME_BITS + 64)
#: Below every order key.
_NEVER = -(1 << _TIME_BITS)

_json = json.Encoder().encode

# What a candidate did, as bits: it stands already, it is new. Together they are an index of _EFFECTS.
_NOTHING, _SAME, _NEW = 0, 1, 2
_EFFECTS = (Effect.SUPERSEDED, Effect.DUPLICATE, Effect.APPLIED, Effect.APPLIED)


@dataclass(frozen=True, slots=True)
class Kind:
    """Offers of one type of event to the registers.

    ``finished`` is what it adds to an order key. ``progress`` gives None, and ``facts`` gives ``no_facts``, where an
    event has no candidate. ``content`` takes what ``facts`` gives; it is encoded as the content of the register.
    """

    started: bool
    finished: int
    facts: Callable[[Any], tuple[object, ...]]
    no_facts: tuple[None, ...]
    content: Callable[..., Struct]
    progress: Callable[[Any], object]
    format: FactsFormat

    def facts_content(self, event: object) -> bytes:
        """The content of the facts register that ``event`` offers."""
        return _json(self.content(*self.facts(event)))


def kinds_of(types: Iterable[type[Any]], facts: FactsFormat = FACTS) -> Mapping[type[Any], Kind]:
    """The kinds of these types of events, with the facts that the format has."""
    return {event_type: _kind(event_type, facts) for event_type in types}


def _kind(event_type: type[Any], facts: FactsFormat) -> Kind:
    codes = {name: code for name, code in facts.codes.items() if name in event_type.__struct_fields__}
    # By their codes, in the order of their wire names and with nothing for None: encoding it is encoding the content.
    content = defstruct("Facts", [(code, Any, None) for code in codes.values()], omit_defaults=True)
    _, phase = event_type.__struct_config__.tag.split(".")
    return Kind(
        started=phase == "started",
        finished=_FINISHED if phase == "finished" else 0,
        facts=_values(*codes),
        no_facts=(None,) * len(codes),
        content=content,
        progress=_progress_of(event_type),
        format=facts,
    )


def _values(*names: str) -> Callable[[Any], tuple[object, ...]]:
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda event: (get(event),)


def _progress_of(event_type: type[Any]) -> Callable[[Any], object]:
    if "progress" in event_type.__struct_fields__:
        return attrgetter("progress")
    return _bytes if "total_bytes" in event_type.__struct_fields__ else _no_progress


def _no_progress(_: object) -> None:
    return None


def _bytes(event: RecordProgressed | RecordFinished) -> tuple[int | None, int | None] | None:
    numbers = (event.replicated_bytes, event.total_bytes)
    return None if numbers == (None, None) else numbers


#: Of all types but the erasure, which offers nothing.
KINDS = kinds_of(event_type for event_type in TYPES.values() if event_type is not RecordErased)


class State:
    """One record or detail as its events make it; empty at first.

    Of the registers that have a content, the event that offered it is kept; None where there was no candidate.
    ``kinds`` say what each type of event offers.
    """

    __slots__ = (
        "_facts_key",
        "_final_key",
        "_kinds",
        "_last_us",
        "_progress_key",
        "_registers",
        "_start_key",
        "facts_event",
        "outcome_event",
        "progress_event",
        "start_event",
    )

    def __init__(self, kinds: Mapping[type[Any], Kind] = KINDS) -> None:
        self._kinds = kinds
        self._start_key = self._facts_key = self._final_key = self._progress_key = self._last_us = _NEVER
        self.start_event: Event | None = None
        self.facts_event: Event | None = None
        self.outcome_event: Event | None = None
        self.progress_event: Event | None = None
        self._registers: Registers | None = EMPTY

    @property
    def registers(self) -> Registers:
        """The state as it is stored; encoded when it is asked for, and kept until the next change."""
        if self._registers is None:
            self._registers = self._encoded()
        return self._registers

    def fold(self, event: Event) -> Effect:
        """Join the candidates of ``event``, which is no erasure; returns what they did to the state."""
        # What every event has a candidate for stands in a row: a call for each would cost as much as the register.
        kind = self._kinds[type(event)]
        time_us, attempt = event.event_us, event.attempt
        did = _NOTHING
        if time_us >= self._last_us:
            did = _NEW if time_us > self._last_us else _SAME
            self._last_us = time_us
        key = _STARTED + (attempt << _TIME_BITS) - time_us if kind.started else -time_us
        if key >= self._start_key:
            did |= _NEW if key > self._start_key else _SAME
            self._start_key, self.start_event = key, event
        key = (attempt << _FINAL_ATTEMPT_BITS) + kind.finished + time_us
        if key > self._final_key:
            self._final_key, self.outcome_event = key, event
            did |= _NEW
        elif key == self._final_key:
            did |= self._tied("outcome_event", event, _outcome)
        if kind.progress(event) is not None:
            did |= self._offer_progress(key, event)
        if kind.facts(event) != kind.no_facts:
            key = (attempt << _TIME_BITS) + time_us
            did |= self._offer_facts(key + _STARTED if kind.started else key, event)
        if did >= _NEW:
            self._registers = None
        return _EFFECTS[did]

    def _offer_progress(self, key: int, event: Event) -> int:
        if key < self._progress_key:
            return _NOTHING
        if key == self._progress_key:
            return self._tied("progress_event", event, _progress)
        self._progress_key, self.progress_event = key, event
        return _NEW

    def _offer_facts(self, key: int, event: Event) -> int:
        if key < self._facts_key:
            return _NOTHING
        if key == self._facts_key:
            return self._tied_facts(event)
        self._facts_key, self.facts_event = key, event
        return _NEW

    def _tied(self, register: str, event: Event, content_of: Callable[[Any], bytes]) -> int:
        """Let the content decide between the candidate of ``event`` and what the register holds."""
        new, held = content_of(event), content_of(getattr(self, register))
        if new > held:
            setattr(self, register, event)
            return _NEW
        return _SAME if new == held else _NOTHING

    def _tied_facts(self, event: Event) -> int:
        kind, kind_held = self._kinds[type(event)], self._kinds[type(self.facts_event)]
        new, held = kind.facts_content(event), kind_held.facts_content(self.facts_event)
        if new == held:
            return _SAME
        if kind.format.canonical(new) < kind.format.canonical(held):
            return _NOTHING
        self.facts_event = event
        return _NEW

    def _encoded(self) -> Registers:
        kinds = self._kinds
        start, facts, outcome, progress = self.start_event, self.facts_event, self.outcome_event, self.progress_event
        if start is None or outcome is None:
            return EMPTY
        final = _final_order(outcome, kinds[type(outcome)])
        return Registers(
            _start(start, kinds[type(start)]),
            _facts(facts, kinds[type(facts)]) if facts else b"",
            final + _outcome(outcome),
            (final if progress is outcome else _final_order(progress, kinds[type(progress)])) + _progress(progress)
            if progress
            else b"",
            final[-_TIME_BYTES:] if outcome.event_us == self._last_us else _time(self._last_us),
        )


def registers_of(event: Event, kinds: Mapping[type[Any], Kind] = KINDS) -> Registers:
    """The candidates that ``event`` offers, one a register."""
    state = State(kinds)
    state.fold(event)
    return state.registers


#: What earlier times are further from.
_EARLIEST = MS_TOP << 16 | 999
_YES, _NO = b"\x01", b"\x00"


def _start(event: Event, kind: Kind) -> bytes:
    earlier = (_EARLIEST - _stamp(event.event_us)).to_bytes(_TIME_BYTES, "big")
    return _YES + _attempt(event.attempt) + earlier if kind.started else _NO + earlier


def _facts(event: Event, kind: Kind) -> bytes:
    started = _YES if kind.started else _NO
    return started + _attempt(event.attempt) + _time(event.event_us) + kind.facts_content(event)


def _final_order(event: Event, kind: Kind) -> bytes:
    finished = _YES if kind.finished else _NO
    return _attempt(event.attempt) + finished + _time(event.event_us)


def _attempt(attempt: int) -> bytes:
    if not attempt:
        return _NO
    length = (attempt.bit_length() + 7) // 8
    return bytes((length,)) + attempt.to_bytes(length, "big")


def _outcome(event: Event) -> bytes:
    if not isinstance(event, RecordFinished | DetailFinished):
        return _RUNNING_CONTENT
    reason = event.error_reason if event.status == FAILED else None
    # A letter sorts behind a quotation mark, as null does in canonical JSON.
    return (b"" if reason is None else _json(reason)) + STATUS_LETTERS[event.status]


_RUNNING_CONTENT = STATUS_LETTERS[RUNNING]


def _progress(event: Event) -> bytes:
    progress = getattr(event, "progress", None)
    if progress is not None:
        return _numbers(progress)
    return _json(_bytes(event))  # type: ignore[arg-type] # it offers a progress, so it has these


def _numbers(progress: Progress) -> bytes:
    blob, node, version = _tally(progress.blob), _tally(progress.node), _tally(progress.version)
    return f"{blob},{node},{progress.total_size},{version}".encode()


def _tally(tally: Tally | None) -> str:
    # Braces, not brackets: they sort behind null, as an object of canonical JSON does.
    if tally is None:
        return "null"
    return f"{{{tally.failed},{tally.skip},{tally.success},{tally.total}}}"
