"""What an event offers to each register of its entity, and the state that events make in memory. Pure.

:class:`State` compares order keys as integers, before anything is encoded: of a batch's events most are superseded by
the next, and only what is left at the end becomes the byte strings of :mod:`replog.records`. Both forms of an order
key sort alike, so that folding events and then encoding is encoding each and taking the greatest.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from msgspec import Struct, defstruct, json

from replog.events import (
    DetailFinished,
    DetailProgressed,
    DetailStarted,
    Progress,
    RecordFinished,
    RecordProgressed,
    RecordStarted,
)
from replog.records import (
    DETAIL_FACTS,
    EMPTY,
    FAILED,
    MS_BIAS,
    MS_TOP,
    RECORD_FACTS,
    RUNNING,
    STATUS_LETTERS,
    Effect,
    Registers,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from replog.events import DetailEvent, RecordEvent, Tally

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


class State:
    """One record or detail as its events make it; empty at first.

    Of the registers that have a content, the event that offered it is kept; None where there was no candidate.
    """

    __slots__ = (
        "_facts_key",
        "_final_key",
        "_last_us",
        "_progress_key",
        "_registers",
        "_start_key",
        "facts_event",
        "outcome_event",
        "progress_event",
        "start_event",
    )

    def __init__(self) -> None:
        self._start_key = self._facts_key = self._final_key = self._progress_key = self._last_us = _NEVER
        self.start_event: RecordEvent | DetailEvent | None = None
        self.facts_event: RecordEvent | DetailEvent | None = None
        self.outcome_event: RecordEvent | DetailEvent | None = None
        self.progress_event: RecordEvent | DetailEvent | None = None
        self._registers: Registers | None = EMPTY

    @property
    def registers(self) -> Registers:
        """The state as it is stored; encoded when it is asked for, and kept until the next change."""
        if self._registers is None:
            self._registers = self._encoded()
        return self._registers

    def fold(self, event: RecordEvent | DetailEvent) -> Effect:
        """Join the candidates of ``event``; returns what they did to the state."""
        # What every event has a candidate for stands in a row: a call for each would cost as much as the register.
        kind = _KINDS[type(event)]
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
            did |= self._offer_facts((attempt << _TIME_BITS) + time_us, event)
        if did >= _NEW:
            self._registers = None
        return _EFFECTS[did]

    def _offer_progress(self, key: int, event: RecordEvent | DetailEvent) -> int:
        if key < self._progress_key:
            return _NOTHING
        if key == self._progress_key:
            return self._tied("progress_event", event, _progress)
        self._progress_key, self.progress_event = key, event
        return _NEW

    def _offer_facts(self, key: int, event: RecordEvent | DetailEvent) -> int:
        if _KINDS[type(event)].started:
            key += _STARTED
        if key < self._facts_key:
            return _NOTHING
        if key == self._facts_key:
            return self._tied("facts_event", event, _facts)
        self._facts_key, self.facts_event = key, event
        return _NEW

    def _tied(self, register: str, event: RecordEvent | DetailEvent, content_of: Callable[[Any], bytes]) -> int:
        """Let the content decide between the candidate of ``event`` and what the register holds."""
        new, held = content_of(event), content_of(getattr(self, register))
        if new > held:
            setattr(self, register, event)
            return _NEW
        return _SAME if new == held else _NOTHING

    def _encoded(self) -> Registers:
        start, facts, outcome, progress = self.start_event, self.facts_event, self.outcome_event, self.progress_event
        if start is None or outcome is None:
            return EMPTY
        final = _final_order(outcome)
        return Registers(
            _start(start),
            _facts_order(facts) + _facts(facts) if facts else b"",
            final + _outcome(outcome),
            (final if progress is outcome else _final_order(progress)) + _progress(progress) if progress else b"",
            final[-_TIME_BYTES:] if outcome.event_us == self._last_us else _time(self._last_us),
        )


def registers_of(event: RecordEvent | DetailEvent) -> Registers:
    """The candidates that ``event`` brings, one a register."""
    state = State()
    state.fold(event)
    return state.registers


@dataclass(frozen=True, slots=True)
class _Kind:
    """What one type of event says to which register.

    ``finished`` is what it adds to an order key. ``progress`` gives None, and ``facts`` gives ``no_facts``, where an
    event has no candidate.
    """

    started: bool
    finished: int
    facts: Callable[[Any], tuple[object, ...]]
    no_facts: tuple[None, ...]
    content: Callable[..., Struct]
    progress: Callable[[Any], object]


def _kind(
    event_type: type[RecordEvent | DetailEvent],
    facts: dict[str, str],
    progress: Callable[[Any], object],
    *,
    started: bool = False,
    finished: int = 0,
) -> _Kind:
    letters = {name: letter for name, letter in facts.items() if name in event_type.__struct_fields__}
    # By their letters and in their order, with nothing for None: encoding it is encoding the content.
    content = defstruct("Facts", [(letter, Any, None) for letter in letters.values()], omit_defaults=True)
    return _Kind(started, finished, _values(*letters), (None,) * len(letters), content, progress)


def _values(*names: str) -> Callable[[Any], tuple[object, ...]]:
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda event: (get(event),)


def _no_progress(_: object) -> None:
    return None


def _bytes(event: RecordProgressed | RecordFinished) -> tuple[int | None, int | None] | None:
    numbers = (event.replicated_bytes, event.total_bytes)
    return None if numbers == (None, None) else numbers


_detail_progress: Callable[[Any], Progress | None] = attrgetter("progress")

_KINDS = {
    RecordStarted: _kind(RecordStarted, RECORD_FACTS, _no_progress, started=True),
    RecordProgressed: _kind(RecordProgressed, RECORD_FACTS, _bytes),
    RecordFinished: _kind(RecordFinished, RECORD_FACTS, _bytes, finished=_FINISHED),
    DetailStarted: _kind(DetailStarted, DETAIL_FACTS, _no_progress, started=True),
    DetailProgressed: _kind(DetailProgressed, DETAIL_FACTS, _detail_progress),
    DetailFinished: _kind(DetailFinished, DETAIL_FACTS, _detail_progress, finished=_FINISHED),
}

_TIME_BYTES, _US_BITS = 9, 16
#: What earlier times are further from.
_EARLIEST = MS_TOP << _US_BITS | 999
_YES, _NO = b"\x01", b"\x00"


def _start(event: RecordEvent | DetailEvent) -> bytes:
    earlier = (_EARLIEST - _stamp(event.event_us)).to_bytes(_TIME_BYTES, "big")
    return _YES + _attempt(event.attempt) + earlier if _KINDS[type(event)].started else _NO + earlier


def _facts_order(event: RecordEvent | DetailEvent) -> bytes:
    started = _YES if _KINDS[type(event)].started else _NO
    return started + _attempt(event.attempt) + _time(event.event_us)


def _final_order(event: RecordEvent | DetailEvent) -> bytes:
    finished = _YES if _KINDS[type(event)].finished else _NO
    return _attempt(event.attempt) + finished + _time(event.event_us)


def _attempt(attempt: int) -> bytes:
    if not attempt:
        return _NO
    length = (attempt.bit_length() + 7) // 8
    return bytes((length,)) + attempt.to_bytes(length, "big")


def _time(time_us: int) -> bytes:
    return _stamp(time_us).to_bytes(_TIME_BYTES, "big")


def _stamp(time_us: int) -> int:
    return (time_us // 1000 + MS_BIAS) << _US_BITS | time_us % 1000


def _facts(event: RecordEvent | DetailEvent) -> bytes:
    kind = _KINDS[type(event)]
    return _json(kind.content(*kind.facts(event)))


def _outcome(event: RecordEvent | DetailEvent) -> bytes:
    if not isinstance(event, RecordFinished | DetailFinished):
        return _RUNNING_CONTENT
    reason = event.error_reason if event.status == FAILED else None
    # A letter sorts behind a quotation mark, as null does in canonical JSON.
    return (b"" if reason is None else _json(reason)) + STATUS_LETTERS[event.status]


_RUNNING_CONTENT = STATUS_LETTERS[RUNNING]


def _progress(event: RecordEvent | DetailEvent) -> bytes:
    progress = _KINDS[type(event)].progress(event)
    return _numbers(progress) if isinstance(progress, Progress) else _json(progress)


def _numbers(progress: Progress) -> bytes:
    blob, node, version = _tally(progress.blob), _tally(progress.node), _tally(progress.version)
    return f"{blob},{node},{progress.total_size},{version}".encode()


def _tally(tally: Tally | None) -> str:
    # Braces, not brackets: they sort behind null, as an object of canonical JSON does.
    if tally is None:
        return "null"
    return f"{{{tally.failed},{tally.skip},{tally.success},{tally.total}}}"
