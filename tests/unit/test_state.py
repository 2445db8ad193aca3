"""Folding events and then encoding is encoding each and taking the greatest."""

from __future__ import annotations

import json
from functools import reduce
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from replog.events import parse
from replog.records import EMPTY, fold, join
from replog.state import State, registers_of
from tests.support.strategies import events, streams

if TYPE_CHECKING:
    import random

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
