"""An outcome is a CloudEvent whose id and sequence depend on the transition alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from cloudevents.core.bindings.kafka import from_kafka_event, to_binary_event
from hypothesis import given
from hypothesis import strategies as st

from replog import outcomes
from replog.entities import Overview
from replog.events import parse
from replog.raw_entities import record_from
from replog.records import EMPTY, Registers, join
from replog.state import registers_of
from replog.statuses import STATUSES
from replog.store.format.rows import RECORD_FIELDS, StoredRecord
from replog_api.queries.render import Renderer
from tests.support.strategies import record_events

if TYPE_CHECKING:
    from cloudevents.core.v1.event import CloudEvent

    from tests.support.strategies import Event

STARTED: Event = {"type": "record.started", "recordId": "r", "taskKey": "t", "eventTime": "2021-05-12T12:00:00Z"}
FAILED: Event = {**STARTED, "type": "record.finished", "status": "FAILED", "errorReason": "disk full"}
AGAIN: Event = {**STARTED, "attempt": 1, "eventTime": "2021-05-12T12:00:00.123456Z"}
NONE_COUNTED = Overview(0, 0, 0, None, 0, 0, 0)


def registers(*events: Event) -> Registers:
    return reduce(join, (registers_of(parse(json.dumps(event).encode())) for event in events), EMPTY)


def event_of(*events: Event) -> CloudEvent:
    """The outcome of a record of which these events were seen."""
    state = registers(*events)
    record = record_from(state, NONE_COUNTED)
    return outcomes.outcome_event(events[0]["recordId"], record, state.outcome, source=outcomes.source_of("events"))


def test_the_attributes_of_an_end() -> None:
    event = event_of(STARTED, FAILED)
    attributes = event.get_attributes()
    assert attributes == {
        "specversion": "1.0",
        "id": attributes["id"],
        "source": "/replog/events",
        "type": "replog.record.failed",
        "subject": "r",
        "time": datetime(2021, 5, 12, 12, tzinfo=UTC),
        "datacontenttype": "application/json",
        "sequence": attributes["sequence"],
        "partitionkey": "t",
    }


def test_a_reopening_has_the_time_of_the_event_that_reopened() -> None:
    event = event_of(STARTED, FAILED, AGAIN)
    assert (event.get_type(), event.get_time()) == (
        "replog.record.reopened",
        datetime(2021, 5, 12, 12, 0, 0, 123456, tzinfo=UTC),
    )


def test_every_status_has_a_type() -> None:
    assert {outcomes.TYPES[status.name] for status in STATUSES} == outcomes.STATUS_OF.keys()


@given(st.lists(record_events, min_size=1, max_size=6))
def test_its_data_is_the_record_as_the_api_answers_it(events: list[Event]) -> None:
    events = [{**event, "recordId": "r"} for event in events]
    state = registers(*events)
    fields: dict[str, bytes | None] = {**state._asdict(), "v": b"1", "w": b"0"}
    stored = StoredRecord("r", tuple(fields.get(name) or None for name in RECORD_FIELDS))
    answer = Renderer(UTC, now_ms=stored.read().last_ms, stale_after_s=900).record(stored)
    assert event_of(*events).get_data() == answer


@pytest.mark.parametrize("other", [{**FAILED, "errorReason": "other"}, {**FAILED, "status": "SUCCESS"}, AGAIN])
def test_another_transition_has_another_id(other: Event) -> None:
    assert event_of(FAILED).get_id() != event_of(other).get_id()


def test_the_same_end_has_the_same_id_whatever_else_is_known() -> None:
    assert event_of(FAILED).get_id() == event_of(STARTED, FAILED).get_id()


def test_another_record_has_another_id() -> None:
    assert event_of(FAILED).get_id() != event_of({**FAILED, "recordId": "r2"}).get_id()


def test_a_reopening_has_one_id_whichever_event_of_the_attempt_was_seen_first() -> None:
    progressed = {**AGAIN, "type": "record.progressed", "eventTime": "2021-05-12T13:00:00Z"}
    assert event_of(AGAIN).get_id() == event_of(AGAIN, progressed).get_id()
    assert event_of(AGAIN).get_id() != event_of({**AGAIN, "attempt": 2}).get_id()


def test_sequences_sort_as_outcomes_follow_each_other() -> None:
    """Also beyond an attempt of one byte."""
    start = datetime(2021, 5, 12, tzinfo=UTC)
    seen: list[Event] = []
    sequences = []
    for number, attempt in enumerate((0, 1, 9, 255, 256, 70_000)):
        time = {"attempt": attempt, "eventTime": (start - timedelta(days=number)).isoformat()}
        for event in ({**STARTED, **time}, {**FAILED, **time}):
            seen.append(event)
            sequences.append(event_of(*seen).get_extension("sequence"))
    assert all(earlier < later for earlier, later in pairwise(sequences))


@pytest.mark.parametrize("text", ["ü 中文", "a" * 128, "%20 \"\\'"])
def test_a_message_in_kafka_gives_the_same_event_again(text: str) -> None:
    event = event_of({**FAILED, "recordId": text, "taskKey": text, "errorReason": text})
    message = to_binary_event(event)
    again: Any = from_kafka_event(message)
    assert message.key == text
    assert again.get_attributes() == event.get_attributes()
    assert again.get_data() == json.loads(event.get_data())  # type: ignore[arg-type]
