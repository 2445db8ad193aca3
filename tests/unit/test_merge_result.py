"""What a merge is said to have done: effects of all events, and transitions as registers tell them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from replog.events import parse
from replog.records import EMPTY, Effect, Registers, join
from replog.state import registers_of
from replog.store.write.batch import Batch
from replog.store.write.merge_result import RecordTransition, effects_of, transition_of

if TYPE_CHECKING:
    from tests.support.strategies import Event

BEGUN: Event = {"type": "record.started", "recordId": "r", "taskKey": "t", "eventTime": "2021-05-12T12:00:00Z"}
FAILED: Event = {
    **BEGUN,
    "type": "record.finished",
    "status": "FAILED",
    "errorReason": "disk full",
    "eventTime": "2021-05-12T12:00:01.500Z",
}
AGAIN: Event = {**BEGUN, "attempt": 1, "eventTime": "2021-05-12T12:00:02Z"}
END_MS = 1_620_820_801_500


def after(*events: Event) -> Registers:
    """The registers of a record after ``events``."""
    registers = EMPTY
    for event in events:
        registers = join(registers, registers_of(parse(json.dumps(event).encode())))
    return registers


def transition(before: Registers, now: Registers) -> RecordTransition:
    return transition_of("r", before=before.outcome[-1:], outcome=now.outcome, facts=now.facts)


@pytest.mark.parametrize(("before", "status"), [((), None), ((BEGUN,), "RUNNING")])
def test_an_end_tells_when_why_and_what_of(before: tuple[Event, ...], status: str | None) -> None:
    ended = transition(after(*before), after(*before, FAILED))
    assert ended.ended
    assert ended[:-1] == ("r", "t", status, "FAILED", END_MS, "disk full")


def test_a_later_attempt_reopens() -> None:
    reopened = transition(after(FAILED), after(FAILED, AGAIN))
    assert not reopened.ended
    assert reopened[:-1] == ("r", "t", "FAILED", "RUNNING", None, None)


def test_transitions_of_a_record_are_ordered_as_its_outcomes_are() -> None:
    later = {**FAILED, "attempt": 1, "eventTime": "2021-05-12T11:00:00Z"}
    states = [EMPTY, after(FAILED), after(FAILED, AGAIN), after(FAILED, AGAIN, later)]
    orders = [transition(before, now).order for before, now in pairwise(states)]
    assert orders == sorted(orders)
    assert len(set(orders)) == 3


def test_effects_are_those_of_the_fold_and_those_of_the_store() -> None:
    batch = Batch()
    for event in (BEGUN, BEGUN, FAILED, {**BEGUN, "type": "detail.started", "detailId": "d"}):
        batch.add(parse(json.dumps(event).encode()))
    folded = batch.records["r"]
    assert folded.record
    effects = effects_of(batch, [(folded.record, Effect.APPLIED), (folded.details["d"], Effect.SUPERSEDED)])
    assert effects == {
        ("record.started", Effect.DUPLICATE): 1,
        ("record.started", Effect.APPLIED): 1,
        ("record.finished", Effect.APPLIED): 1,
        ("detail.started", Effect.SUPERSEDED): 1,
    }
    # Asked again, as after a merge that failed, the batch has counted nothing twice.
    assert effects_of(batch, []) == {("record.started", Effect.DUPLICATE): 1}
