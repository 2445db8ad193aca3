"""Any event, valid or damaged, is taken or refused as docs/events.md says, whatever way it is decoded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replog.errors import InvalidEventError
from replog.events import encode, event_of, parse
from tests.strategies import Event, events, texts
from tests.validity import RULES, content, problems, time_us

FIELDS = sorted({"type", "unknown", *(name for rules in RULES.values() for part in rules for name in part)})
COUNTS = ("total", "success", "skip", "failed")

scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from([-1, 0, 1, 2**63 - 1, 2**63, 2**64, 10**400, 0.0, 1.0, -0.5, 1e300])
    | st.sampled_from(["", "a", "a\n", "\x7f", "\x80", "a\u2028", "é" * 128, "😀" * 129, "x" * 1024, "x" * 1025])
    | st.sampled_from(["SUCCESS", "FAILED", "PACKAGE", "SCHEDULED", "x" * 4096, "x" * 4097, *RULES])
    | st.sampled_from(["2021-05-12T12:19:08.813000Z", "2021-05-12T12:19:60.000001Z", "2021-05-12T12:19:08.81300٣Z"])
    | st.sampled_from(["2021-05-12T12:19:08,813000Z", "2021-02-30T12:19:08.813000Z", "0001-01-01T00:00:00.000000Z"])
    | st.sampled_from(["2021-05-12 12:19:08Z", "2021-05-12T12:19:08", "0001-01-01T00:00:00+00:01"])
    | texts
)
objects = st.dictionaries(
    st.sampled_from([*COUNTS, "blob", "node", "version", "totalSize", "total_size", "type"]), scalars
)
values = st.recursive(scalars | objects, lambda inner: st.lists(inner, max_size=3) | objects, max_leaves=4)


@st.composite
def damaged(draw: st.DrawFn) -> Event:
    """An event in which some fields are replaced, added or taken away, and some inside its progress."""
    event: Event = draw(events)
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=2)):
        event[name] = draw(values)
    for name in draw(st.lists(st.sampled_from(sorted(event)), max_size=1)):
        del event[name]
    progress = event.get("progress")
    if isinstance(progress, dict) and draw(st.booleans()):
        kind = draw(st.sampled_from(["blob", "node", "version", "totalSize"]))
        inside = st.dictionaries(st.sampled_from(COUNTS), scalars, min_size=1)
        event["progress"] = {**progress, kind: draw(inside | scalars)}
    return event


def outcome(event: Event, *, ascii_only: bool) -> Event | tuple[str, str]:
    """What the event says where it is taken, else the reason and the field of the refusal."""
    try:
        said: Event = json.loads(encode(parse(json.dumps(event, ensure_ascii=ascii_only).encode())))
    except InvalidEventError as error:
        return error.reason, str(error).split(" ")[0].split(".")[0]
    said["eventTime"] = time_us(said["eventTime"])
    return said


@given(damaged(), st.booleans())
@settings(max_examples=500)
def test_a_damaged_event_is_taken_or_refused_as_the_contract_says(event: Event, ascii_only: bool) -> None:  # noqa: FBT001 - drawn
    found, wrong = outcome(event, ascii_only=ascii_only), problems(event)
    assert found in wrong if wrong else found == content(event)


@given(events, st.booleans())
def test_a_valid_event_says_what_it_said(event: Event, ascii_only: bool) -> None:  # noqa: FBT001 - drawn
    assert problems(event) == set()
    assert outcome(event, ascii_only=ascii_only) == content(event)


@given(events)
def test_both_ways_of_decoding_make_the_same_event(event: Event) -> None:
    assert parse(json.dumps(event).encode()) == event_of(event)


@given(events, st.data())
def test_damaged_bytes_are_taken_only_where_they_are_valid_still(event: Event, data: st.DataObject) -> None:
    value = bytearray(json.dumps(event, ensure_ascii=False).encode())
    place = data.draw(st.integers(0, len(value) - 1))
    value[place : place + 1] = data.draw(st.binary(max_size=2))
    try:
        parse(bytes(value))
    except InvalidEventError:
        return
    assert problems(json.loads(bytes(value).decode())) == set()


RECORD = b'"type":"record.started","recordId":"r","taskKey":"t","eventTime":"2021-05-12T12:19:08.813Z"'


@pytest.mark.parametrize(
    "unknown",
    [
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        b'{"\xff":1}',
        b'["\xf4\x90\x80\x80"]',
        b'"\\ud800"',
        b'"a\x01"',
        b"NaN",
        b"-Infinity",
        b"01",
        b"[1,]",
        b"[" * 100_000,
    ],
)
def test_what_nobody_asks_for_must_be_json_too(unknown: bytes) -> None:
    with pytest.raises(InvalidEventError) as caught:
        parse(b"{%b,%b:%b}" % (RECORD, b'"unknown"', unknown))
    assert caught.value.reason == "not_json"


@pytest.mark.parametrize("depth", [*range(900, 1100), 100_000])
def test_nesting_is_taken_or_refused_and_never_an_accident(depth: int) -> None:
    value = b"{%b,%b:%b}" % (RECORD, b'"taskName"', b"[" * depth + b"]" * depth)
    with pytest.raises(InvalidEventError) as caught:
        parse(value)
    assert caught.value.reason in {"invalid_field", "not_json"}


@pytest.mark.parametrize(
    ("value", "task_name"),
    [
        (b'{%b,"taskName":7,"taskName":"last"}', "last"),
        (b'{"type":7,%b}', None),
        (b'{"recordId":"",%b,"taskName":"last"}', "last"),
    ],
)
def test_of_a_name_that_comes_twice_the_last_counts(value: bytes, task_name: str | None) -> None:
    event: Any = parse(value % RECORD)
    assert (event.record_id, event.task_name) == ("r", task_name)
