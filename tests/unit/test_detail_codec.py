from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from replog.events import parse
from replog.records import EMPTY, Registers
from replog.state import State
from replog.store.format.detail_codec import pack, shortened, unpack
from replog.store.format.index_entries import placement_of, sums_of
from tests.support.strategies import Event, detail_events


def state_of(stream: list[Event]) -> State:
    state = State()
    for event in stream:
        state.fold(parse(json.dumps(event).encode()))
    return state


@given(st.lists(detail_events, min_size=1, max_size=5))
def test_a_packed_detail_gives_its_registers_back(stream: list[Event]) -> None:
    registers = state_of(stream).registers
    assert registers != EMPTY
    assert unpack(b"\x01" + registers.outcome[-1:] + pack(registers, (), 0)) == registers


@given(detail_events)
def test_what_the_registers_share_and_the_name_in_the_facts_are_kept_once(event: Event) -> None:
    state = state_of([event])
    placement = placement_of(state.facts_event)  # type: ignore[arg-type] # the events are details'
    sums = sums_of(placement.conflicts, getattr(state.progress_event, "progress", None))
    registers = state.registers
    packed = pack(registers, placement.names, shortened(sums))
    assert len(packed) <= sum(map(len, registers)) - len(registers.last) + 40


def test_a_time_that_is_not_the_outcomes_is_kept() -> None:
    start, outcome, last = b"\x00" + bytes(9), b"\x00\x01" + bytes(9) + b"nullS", b"\x01" * 9
    registers = Registers(start, b"", outcome, b"\x00\x00" + bytes(9) + b"1", last)
    assert unpack(b"\x01" + registers.outcome[-1:] + pack(registers, (), 0)) == registers
