"""Folding events and then encoding is encoding each and taking the greatest."""

from __future__ import annotations

import json
from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog import fields
from replog.events import TYPES, parse
from replog.records import EMPTY, Effect, FactsFormat, Registers, fold, join
from replog.state import State, kinds_of, registers_of
from tests.support.strategies import events, streams

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from replog.events import Event as AnyEvent
    from tests.support.strategies import Event


def of_one(kind: str, stream: list[Event]) -> list[AnyEvent]:
    """The events of records or of details, as if all were of one."""
    return [parse(json.dumps(event).encode()) for event in stream if event["type"].startswith(kind)]


entities = st.tuples(st.sampled_from(["record.", "detail."]), streams).map(lambda drawn: of_one(*drawn))
#: Of one time, so that contents decide.
ties = st.tuples(
    st.sampled_from(["record.", "detail."]),
    st.lists(events.map(lambda event: {**event, "eventTime": "2021-05-12T12:19:08.813Z", "attempt": 0}), max_size=8),
).map(lambda drawn: of_one(*drawn))


@given(entities | ties)
def test_a_state_is_the_join_of_its_events_registers(stream: list[AnyEvent]) -> None:
    state = State()
    for event in stream:
        state.fold(event)
    assert state.registers == reduce(join, map(registers_of, stream), EMPTY)


@given(entities | ties)
def test_each_event_does_what_its_registers_do(stream: list[AnyEvent]) -> None:
    state, stored = State(), EMPTY
    for event in stream:
        stored, effect = fold(stored, registers_of(event))
        assert state.fold(event) is effect
        assert state.registers == stored


@given(entities | ties, st.randoms(use_true_random=False))
def test_any_order_and_duplication_ends_in_the_same_state(stream: list[AnyEvent], chance: random.Random) -> None:
    replayed = stream + (chance.choices(stream, k=len(stream)) if stream else [])
    chance.shuffle(replayed)
    one, other = State(), State()
    for event in stream:
        one.fold(event)
    for event in replayed:
        other.fold(event)
    assert one.registers == other.registers


@given(entities | ties)
def test_the_kept_events_are_those_that_the_registers_are_of(stream: list[AnyEvent]) -> None:
    """So that who stores a state may read their fields instead of its registers."""
    state = State()
    for event in stream:
        state.fold(event)
    kept = {
        "start": state.start_event,
        "facts": state.facts_event,
        "outcome": state.outcome_event,
        "progress": state.progress_event,
    }
    for register, event_kept in kept.items():
        offered = registers_of(event_kept) if event_kept else EMPTY
        assert getattr(state.registers, register) == getattr(offered, register)


#: An event's time, and what registers have of it.
AT = "2021-05-12T12:19:08.813456Z"
TIME = (1_620_821_948_813 + (1 << 46)).to_bytes(7, "big") + (456).to_bytes(2, "big")
EARLIER = ((1 << 49) - (1_620_821_948_813 + (1 << 46))).to_bytes(7, "big") + (999 - 456).to_bytes(2, "big")
RECORD: Event = {"recordId": "r", "taskKey": "task", "eventTime": AT}
DETAIL: Event = {"recordId": "r", "detailId": "d", "eventTime": AT}
TALLY = {"total": 10, "success": 4, "skip": 3, "failed": 2}
PROGRESS = {"blob": TALLY, "version": {**TALLY, "failed": 1}, "totalSize": 7}

#: Events, and the registers that stores hold of them: as the head of :mod:`replog.records` says.
STORED: dict[str, tuple[Event, Registers]] = {
    "a record starts": (
        {
            **RECORD,
            "type": "record.started",
            "taskName": "n",
            "replicaType": "SCHEDULED",
            "replicaObjectType": "REPOSITORY",
            "expectedDetails": 5,
        },
        Registers(
            b"\x01\x00" + EARLIER,
            b"\x01\x00" + TIME + b'{"A":5,"B":"REPOSITORY","C":"SCHEDULED","D":"task","E":"n"}',
            b"\x00\x00" + TIME + b"R",
            b"",
            TIME,
        ),
    ),
    "a record gets further": (
        {**RECORD, "type": "record.progressed", "attempt": 255, "totalBytes": 9},
        Registers(
            b"\x00" + EARLIER,
            b"\x00\x01\xff" + TIME + b'{"D":"task"}',
            b"\x01\xff\x00" + TIME + b"R",
            b"\x01\xff\x00" + TIME + b"[null,9]",
            TIME,
        ),
    ),
    "a record ends": (
        {**RECORD, "type": "record.finished", "attempt": 256, "status": "FAILED", "errorReason": 'a "reason"'},
        Registers(
            b"\x00" + EARLIER,
            b"\x00\x02\x01\x00" + TIME + b'{"D":"task"}',
            b"\x02\x01\x00\x01" + TIME + b'"a \\"reason\\""F',
            b"",
            TIME,
        ),
    ),
    "a record ends with its bytes": (
        {**RECORD, "type": "record.finished", "status": "SUCCESS", "replicatedBytes": 8, "errorReason": "of none"},
        Registers(
            b"\x00" + EARLIER,
            b"\x00\x00" + TIME + b'{"D":"task"}',
            b"\x00\x01" + TIME + b"S",
            b"\x00\x01" + TIME + b"[8,null]",
            TIME,
        ),
    ),
    "a detail starts": (
        {**DETAIL, "type": "detail.started", "attempt": 1, "remoteCluster": "c", "versions": ["1", "2"]},
        Registers(
            b"\x01\x01\x01" + EARLIER,
            b"\x01\x01\x01" + TIME + b'{"g":"c","m":["1","2"]}',
            b"\x01\x01\x00" + TIME + b"R",
            b"",
            TIME,
        ),
    ),
    "a detail gets further": (
        {**DETAIL, "type": "detail.progressed", "progress": PROGRESS},
        Registers(
            b"\x00" + EARLIER,
            b"",
            b"\x00\x00" + TIME + b"R",
            b"\x00\x00" + TIME + b"{2,3,4,10},null,7,{1,3,4,10}",
            TIME,
        ),
    ),
    "a detail ends": (
        {**DETAIL, "type": "detail.finished", "status": "FAILED"},
        Registers(b"\x00" + EARLIER, b"", b"\x00\x01" + TIME + b"F", b"", TIME),
    ),
}


@pytest.mark.parametrize(("event", "registers"), STORED.values(), ids=STORED)
def test_registers_are_as_stores_hold_them(event: Event, registers: Registers) -> None:
    parsed = parse(json.dumps(event).encode())
    assert registers_of(parsed, kinds_of(TYPES.values())) == registers
    assert registers_of(parsed) == registers


@pytest.mark.parametrize("event_type", TYPES)
def test_a_kind_says_what_its_type_of_event_offers(event_type: str) -> None:
    kind, phase = kinds_of([TYPES[event_type]])[TYPES[event_type]], event_type.partition(".")[2]
    assert (kind.started, kind.finished > 0) == (phase == "started", phase == "finished")
    bare = RECORD if event_type.startswith("record") else DETAIL
    progress: Event = {"progress": {}} if bare is DETAIL else {}
    more: dict[str, Event] = {"finished": {"status": "SUCCESS"}, "progressed": progress}
    event = parse(json.dumps({**bare, "type": event_type, **more.get(phase, {})}).encode())
    facts = kind.facts(event)
    assert (facts == kind.no_facts) == (bare is DETAIL)
    assert len(facts) == len(kind.no_facts) > 0
    assert (kind.progress(event) is not None) == (event_type == "detail.progressed")


@pytest.mark.parametrize("known", [("taskKey",), ("taskKey", "taskName"), ("taskKey", "taskName", "replicaType")])
def test_a_kind_offers_as_many_facts_as_its_format_has(known: tuple[str, ...]) -> None:
    facts = FactsFormat(row for row in fields.RECORD if row.wire in known)
    said = {name: f"some {name}" for name in known}
    event = parse(json.dumps({**RECORD, "type": "record.started", **said, "replicaType": "SCHEDULED"}).encode())
    kind = kinds_of([type(event)], facts)[type(event)]
    content = json.loads(kind.facts_content(event))
    names = {code: facts.names[attribute] for attribute, code in facts.codes.items()}
    said |= {"replicaType": "SCHEDULED"} if "replicaType" in known else {}
    assert {names[code]: value for code, value in content.items()} == said
    assert kind.no_facts == (None,) * len(known)


def test_a_new_state_has_had_no_candidate() -> None:
    state = State()
    events = (state.start_event, state.facts_event, state.outcome_event, state.progress_event)
    assert (events, state.registers) == ((None,) * 4, EMPTY)


def tied(event_type: str, **fields: Any) -> AnyEvent:
    """An event that has the order keys of all others of its type."""
    bare = RECORD if event_type.startswith("record") else DETAIL
    return parse(json.dumps({**bare, "type": event_type, **fields}).encode())


TIES: dict[str, tuple[Callable[[str], AnyEvent], str]] = {
    "facts": (lambda text: tied("detail.started", path=text), "facts_event"),
    "reasons": (lambda text: tied("detail.finished", status="FAILED", errorReason=text), "outcome_event"),
    "numbers": (lambda text: tied("record.progressed", totalBytes=len(text)), "progress_event"),
}


@pytest.mark.parametrize(("event_of", "register"), TIES.values(), ids=TIES)
def test_of_equal_order_keys_the_greater_content_stays(event_of: Callable[[str], AnyEvent], register: str) -> None:
    state, less, more = State(), event_of("a"), event_of("bb")
    assert [state.fold(event) for event in (less, more)] == [Effect.APPLIED, Effect.APPLIED]
    before = state.registers
    assert getattr(state, register) is more
    assert [state.fold(event) for event in (less, event_of("bb"))] == [Effect.DUPLICATE, Effect.DUPLICATE]
    assert getattr(state, register) is more
    assert state.registers is before


def test_the_start_of_a_higher_attempt_replaces_that_of_a_lower_one() -> None:
    first, second = tied("detail.started"), tied("detail.started", attempt=1, eventTime="2021-05-12T12:19:09Z")
    for order in ([first, second], [second, first]):
        state = State()
        for event in order:
            state.fold(event)
        assert state.start_event is second


HIGHER = {"attempt": 1, "eventTime": "2021-05-12T12:19:07Z"}


@pytest.mark.parametrize(
    ("register", "lower", "higher"),
    [
        ("facts_event", tied("detail.started", path="a"), tied("detail.started", path="a", **HIGHER)),
        (
            "outcome_event",
            tied("record.finished", status="FAILED"),
            tied("record.finished", status="SUCCESS", **HIGHER),
        ),
        ("progress_event", tied("record.progressed", totalBytes=2), tied("record.progressed", totalBytes=1, **HIGHER)),
    ],
)
def test_what_a_higher_attempt_says_stands_also_where_it_is_earlier(
    register: str, lower: AnyEvent, higher: AnyEvent
) -> None:
    for order in ([lower, higher], [higher, lower]):
        state = State()
        for event in order:
            state.fold(event)
        assert getattr(state, register) is higher


def test_a_start_that_comes_again_is_a_duplicate_and_one_that_comes_late_is_applied() -> None:
    started, later = tied("detail.started"), tied("detail.started", eventTime="2021-05-12T12:19:09Z")
    ended = tied("detail.finished", status="SUCCESS", eventTime="2021-05-12T12:19:10Z")
    state = State()
    assert [state.fold(event) for event in (ended, started, started, later)] == [
        Effect.APPLIED,
        Effect.APPLIED,
        Effect.DUPLICATE,
        Effect.SUPERSEDED,
    ]


EARLY, LATE = "2021-05-12T12:19:07Z", "2021-05-12T12:19:11Z"
STARTED_EARLY = tied("detail.started", eventTime=EARLY)
#: Events of one order key in one register, and what outweighs them in all other registers.
TIES_ALONE: dict[str, tuple[Callable[[str], AnyEvent], AnyEvent]] = {
    "facts": (
        lambda text: tied("detail.started", path=text),
        tied("detail.finished", status="SUCCESS", eventTime=LATE),
    ),
    "reasons": (
        lambda text: tied("detail.finished", status="FAILED", errorReason=text),
        tied("detail.started", eventTime=LATE),
    ),
    "numbers": (
        lambda text: tied("detail.progressed", progress={"totalSize": len(text)}),
        tied("detail.finished", status="SUCCESS", eventTime=LATE),
    ),
}


@pytest.mark.parametrize(("event_of", "outweighing"), TIES_ALONE.values(), ids=TIES_ALONE)
def test_a_tie_decides_whether_an_event_is_a_duplicate_or_superseded(
    event_of: Callable[[str], AnyEvent], outweighing: AnyEvent
) -> None:
    state = State()
    for event in (STARTED_EARLY, outweighing, event_of("bb")):
        assert state.fold(event) is Effect.APPLIED
    assert state.fold(event_of("a")) is Effect.SUPERSEDED
    assert state.fold(event_of("bb")) is Effect.DUPLICATE


def test_an_event_that_is_no_more_than_the_latest_is_applied() -> None:
    """A lower attempt that outlives a higher one: only the time of the last event is of it."""
    state, latest = State(), tied("detail.progressed", progress={}, eventTime=LATE)
    for event in (STARTED_EARLY, tied("detail.progressed", attempt=1, progress={})):
        state.fold(event)
    before = state.registers
    assert state.fold(latest) is Effect.APPLIED
    assert state.registers == before._replace(last=registers_of(latest).last)
    assert state.registers != before


def test_without_a_start_the_earliest_event_takes_its_place() -> None:
    early, late = (tied("detail.progressed", progress={}, eventTime=time) for time in (EARLY, LATE))
    for order in ([early, late], [late, early]):
        state = State()
        for event in order:
            state.fold(event)
        assert state.start_event is early
