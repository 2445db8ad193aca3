from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import ValidationError

from replog.entities import Overview, detail_from, record_from
from replog.events import parse
from replog.fields import NOTHING, Field
from replog.records import (
    EMPTY,
    FACTS,
    Effect,
    Progressed,
    Registers,
    Tallied,
    bytes_of,
    facts_content,
    facts_decoder,
    facts_of,
    fold,
    join,
    last_ms,
    outcome_content,
    outcome_of,
    outcome_order,
    outcome_order_size,
    outcome_time_us,
    progress_content,
    progress_of,
    start_ms,
    time_bytes,
    time_us,
)
from replog.state import registers_of
from tests.support.model import Model
from tests.support.strategies import DETAIL_IDS, Event, events, streams

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_DETAILS = Overview(0, 0, 0, None, 0, 0, 0)


def registers(event: Event) -> Registers:
    return registers_of(parse(json.dumps(event).encode()))


def state_of(stream: Iterable[Event]) -> Registers:
    return reduce(join, map(registers, stream), EMPTY)


def of_one_detail(stream: list[Event]) -> list[Event]:
    same = {"recordId": "r1", "detailId": "d"}
    return [{**event, **same} for event in stream if event["type"].startswith("detail.")]


def of_one_record(stream: list[Event]) -> list[Event]:
    return [{**event, "recordId": "r1"} for event in stream if event["type"].startswith("record.")]


@given(streams, st.randoms(use_true_random=False))
def test_any_order_and_duplication_ends_in_the_same_state(stream: list[Event], chance: random.Random) -> None:
    replayed = stream + chance.choices(stream, k=len(stream))
    chance.shuffle(replayed)
    assert state_of(replayed) == state_of(stream)


@given(streams, streams)
def test_joining_parts_is_joining_the_whole(one: list[Event], other: list[Event]) -> None:
    assert join(state_of(one), state_of(other)) == state_of(one + other)


@given(streams)
def test_the_state_of_a_detail_is_what_the_contract_says(stream: list[Event]) -> None:
    stream = of_one_detail(stream)
    if not stream:
        return
    detail = detail_from("r1", "d", state_of(stream))
    expected = Model(stream).detail("r1", "d")
    assert (detail.status, detail.error_reason) == (expected["status"], expected["errorReason"])
    assert (detail.remote_cluster or "", detail.repo_type.upper()) == (expected["remoteCluster"], expected["repoType"])
    assert (detail.path is None) == (expected["pathConstraint"] is None)
    assert (detail.progress.total_size, detail.progress.artifacts.skip) == (
        expected["progress"]["totalSize"],
        expected["progress"]["skip"],
    )


@given(streams)
def test_the_state_of_a_record_is_what_the_contract_says(stream: list[Event]) -> None:
    stream = of_one_record(stream)
    if not stream:
        return
    record = record_from("r1", state_of(stream), NO_DETAILS)
    expected = Model(stream).record("r1")
    assert (record.task_key, record.status) == (expected["taskKey"], expected["status"])
    assert (record.replicated_bytes, record.total_bytes) == (
        expected["replicatedBytes"],
        expected["totalBytes"],
    )
    assert record.overview.expected == expected["replicaOverview"]["expected"]


@given(events, events)
def test_contents_of_one_order_key_sort_as_their_canonical_json(one: Event, other: Event) -> None:
    same = {"eventTime": "2021-05-12T12:19:08.813Z", "attempt": 0, "recordId": "r1"}
    pair = [{**event, **same, "type": one["type"]} for event in (one, other)]
    if other["type"] != one["type"]:
        return
    if one["type"].startswith("record."):
        record = record_from("r1", state_of(pair), NO_DETAILS)
        expected = Model(pair).record("r1")
        assert (record.status, record.error_reason) == (expected["status"], expected["errorReason"])
        assert record.replicated_bytes == expected["replicatedBytes"]
        return
    pair = of_one_detail(pair)
    detail = detail_from("r1", "d", state_of(pair))
    expected = Model(pair).detail("r1", "d")
    assert (detail.local_cluster or "", detail.version) == (expected["localCluster"], expected["version"])
    assert (detail.status, detail.error_reason) == (expected["status"], expected["errorReason"])
    blob = expected["progress"]["blob"]
    assert (detail.progress.blob and detail.progress.blob._asdict()) == blob


class TestWhatAnEventDid:
    """The effect is what a metric counts."""

    STARTED: ClassVar[Event] = {
        "type": "detail.started",
        "recordId": "r",
        "detailId": "d",
        "eventTime": "2021-05-12T12:00:00Z",
    }
    PROGRESSED: ClassVar[Event] = {
        **STARTED,
        "type": "detail.progressed",
        "eventTime": "2021-05-12T12:00:01Z",
        "progress": {"totalSize": 1},
    }
    LATER: ClassVar[Event] = {**PROGRESSED, "eventTime": "2021-05-12T12:00:02Z", "progress": {"totalSize": 2}}

    def effect(self, stream: list[Event], event: Event) -> Effect:
        return fold(state_of(stream), registers(event))[1]

    def test_a_first_event_is_applied(self) -> None:
        assert self.effect([], self.STARTED) is Effect.APPLIED

    def test_the_same_event_again_is_a_duplicate(self) -> None:
        assert self.effect([self.STARTED, self.LATER], self.STARTED) is Effect.DUPLICATE

    def test_progress_that_comes_late_is_superseded(self) -> None:
        assert self.effect([self.STARTED, self.LATER], self.PROGRESSED) is Effect.SUPERSEDED

    def test_a_start_that_comes_late_is_applied(self) -> None:
        assert self.effect([self.LATER], self.STARTED) is Effect.APPLIED


def test_the_first_of_two_starts_of_one_attempt_counts() -> None:
    early, late = (
        {
            "type": "detail.started",
            "recordId": "r1",
            "detailId": "d",
            "eventTime": f"2021-05-12T12:00:0{second}Z",
        }
        for second in (1, 2)
    )
    assert state_of([late, early]).start == state_of([early]).start


def test_a_higher_attempt_reopens_what_was_finished() -> None:
    finished: Event = {
        "type": "detail.finished",
        "recordId": "r1",
        "detailId": DETAIL_IDS[0],
        "eventTime": "2021-05-12T12:00:09Z",
        "status": "FAILED",
        "errorReason": "refused",
    }
    retried = {**finished, "type": "detail.started", "attempt": 1, "eventTime": "2021-05-12T12:00:01Z"}
    late = {**finished, "type": "detail.progressed", "progress": {}, "eventTime": "2021-05-12T12:00:10Z"}
    assert detail_from("r1", "d", state_of([finished, late])).status == "FAILED"
    assert detail_from("r1", "d", state_of([retried, finished])).status == "RUNNING"


def test_an_order_key_that_looks_like_a_fact_is_compared_as_it_is() -> None:
    """Of two attempts whose bytes are codes of facts, the order of the codes is not that of the facts' names."""
    assert FACTS.names["artifact_name"] < FACTS.names["expected_details"]
    started: Event = {"type": "record.started", "recordId": "r", "eventTime": "2021-05-12T12:00:00Z", "taskKey": "t"}
    less, more = (
        registers({**started, "attempt": int.from_bytes(b'{"' + FACTS.codes[name].encode() + b'":')}).facts
        for name in ("expected_details", "artifact_name")
    )
    assert less < more
    assert FACTS.greater(less, more) == FACTS.greater(more, less) == more


MS = 1_620_821_948_813
TALLY = {"failed": 1, "skip": 2, "success": 3, "total": 6}


@pytest.mark.parametrize("attempt", [0, 1, 2**63 - 1])
class TestWhatRegistersSay:
    """Read back from what events became."""

    def of(self, kind: str, attempt: int, **more: Any) -> Registers:
        ids = {"taskKey": "task"} if kind.startswith("record") else {"detailId": "d"}
        time = "2021-05-12T12:19:08.813456Z"
        return registers({"type": kind, "recordId": "r", "eventTime": time, "attempt": attempt, **ids, **more})

    def test_a_start(self, attempt: int) -> None:
        for kind in ("record.started", "record.progressed", "detail.started"):
            state = self.of(kind, attempt)
            assert (start_ms(state.start), last_ms(state.last)) == (MS, MS)
            assert outcome_of(state.outcome) == ("RUNNING", None, None)
            assert outcome_content(state.outcome)[1:] == (MS, b"")

    @pytest.mark.parametrize(("status", "reason"), [("SUCCESS", None), ("FAILED", None), ("FAILED", 'a "reason"')])
    def test_an_outcome(self, attempt: int, status: str, reason: str | None) -> None:
        more = {"errorReason": reason} if reason else {}
        state = self.of("record.finished", attempt, status=status, **more)
        assert outcome_of(state.outcome) == (status, MS, reason)
        known, ms, content = outcome_content(state.outcome)
        assert (known.name, ms, content) == (status, MS, json.dumps(reason).encode() if reason else b"")

    def test_facts(self, attempt: int) -> None:
        state = self.of("record.started", attempt, taskName="name")
        codes = FACTS.codes
        assert facts_of(state.facts) == {codes["task_key"]: "task", codes["task_name"]: "name"}
        assert json.loads(facts_content(state.facts)) == facts_of(state.facts)

    def test_progress(self, attempt: int) -> None:
        state = self.of("detail.progressed", attempt, progress={"node": TALLY, "totalSize": 7})
        assert progress_content(state.progress) == b"null,{1,2,3,6},7,null"
        assert progress_of(state.progress) == Progressed(None, Tallied(1, 2, 3, 6), 7, None)
        assert bytes_of(self.of("record.progressed", attempt, totalBytes=5).progress) == (None, 5)
        assert bytes_of(self.of("record.progressed", attempt, replicatedBytes=4).progress) == (4, None)


@given(st.datetimes(timezones=st.just(UTC)).map(lambda time: (time - EPOCH) // timedelta(microseconds=1)))
def test_times_are_restored_to_the_microsecond(us: int) -> None:
    assert time_us(time_bytes(us)) == us


@pytest.mark.parametrize("attempt", [0, 1, 255, 256, 2**31 - 1])
@pytest.mark.parametrize("reason", [None, "\u0000 reason"])
def test_an_outcome_begins_with_its_order_and_time(attempt: int, reason: str | None) -> None:
    event = {
        "type": "detail.finished",
        "recordId": "r",
        "detailId": "d",
        "attempt": attempt,
        "eventTime": "2021-05-12T12:19:08.813507Z",
        "status": "FAILED",
        "errorReason": reason,
    }
    outcome = registers(event).outcome
    order = outcome_order(outcome)
    assert outcome.startswith(order)
    assert len(order) == outcome_order_size(outcome) == outcome_order_size(order)
    assert order.endswith(b"\x01" + time_bytes(outcome_time_us(outcome)))
    assert outcome_time_us(outcome) == 1_620_821_948_813_507
    later = registers({**event, "eventTime": "2021-05-12T12:19:08.813508Z"}).outcome
    assert outcome_order(later) > order
    assert outcome_time_us(later) == outcome_time_us(outcome) + 1


def test_empty_registers_say_nothing() -> None:
    assert (facts_of(b""), facts_content(b""), progress_content(b"")) == ({}, b"{}", b"")
    assert (progress_of(b""), bytes_of(b"")) == (Progressed(None, None, 0, None), (None, None))


def test_facts_are_decoded_to_attributes_with_types_and_defaults() -> None:
    table = [
        Field("any", "any", None, NOTHING, code="a", default="default"),
        Field("text", "text", None, NOTHING, code="b"),
        Field("no_fact", "noFact", None, NOTHING),
    ]
    decode = facts_decoder(table, int, text=str)
    known = decode(b'{"a":1,"b":"two","z":3}')
    assert (known.__struct_fields__, known.any, known.text) == (("any", "text"), 1, "two")
    assert (decode(b"{}").any, decode(b"{}").text) == ("default", None)
    for wrong in (b'{"a":"1"}', b'{"b":2}'):
        with pytest.raises(ValidationError):
            decode(wrong)
