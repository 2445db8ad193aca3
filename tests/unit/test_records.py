from __future__ import annotations

import json
from functools import reduce
from typing import TYPE_CHECKING, ClassVar

from hypothesis import given
from hypothesis import strategies as st

from replog.entities import Overview, detail_from, record_from
from replog.events import parse
from replog.records import EMPTY, Effect, Registers, fold, join
from replog.state import registers_of
from tests.support.model import Model
from tests.support.strategies import DETAIL_IDS, Event, events, streams

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

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
