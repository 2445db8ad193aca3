"""Any event, valid or damaged, is taken or refused as docs/events.md says, whatever way it is decoded."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replog.errors import InvalidEventError
from replog.events import encode, event_of, parse
from tests.support.strategies import Event, damaged, events
from tests.support.validity import content, facts_bytes, problems, time_us


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


#: Pieces of a JSON string: halves of characters, whole ones, and what looks like them.
PIECES = ["\\ud83d", "\\uDE00", "\\ud800", "\\\\ud800", "\\\\", "\\u00e9", "ud800", "\\n", "a", "😀", '\\"']


@given(st.lists(st.sampled_from(PIECES)).map("".join), st.sampled_from(["taskKey", "errorReason", "unknown"]))
def test_an_escape_that_is_no_text_becomes_the_replacement_character(text: str, field: str) -> None:
    head = '{"type":"record.finished","recordId":"r","taskKey":"t","eventTime":"2021-05-12T12:19:08Z","status":"FAILED"'
    said = re.sub("[\ud800-\udfff]", "\ufffd", json.loads(f'"{text}"'))
    event = json.loads(f"{head}}}") | {field: said}
    value = f'{head},"{field}":"{text}"}}'.encode()
    if problems(event):
        with pytest.raises(InvalidEventError, match="taskKey is wrong"):
            parse(value)
    else:
        assert parse(value) == event_of(event)


def test_facts_are_measured_to_the_byte() -> None:
    """As JSON in UTF-8, whatever way the event is written."""
    head = {"type": "detail.started", "recordId": "r", "detailId": "d", "eventTime": "2021-05-12T12:19:08Z"}
    event: Event = {**head, "versions": ["é" * 1024] * 31, "path": ""}
    event["version"] = ""
    event["path"] = "é\n" * ((64 * 1024 - facts_bytes(event)) // 4)
    event["version"] = "x" * (64 * 1024 - facts_bytes(event))
    for ascii_only in (True, False):
        assert facts_bytes(event) == 64 * 1024
        parse(json.dumps(event, ensure_ascii=ascii_only).encode())
        with pytest.raises(InvalidEventError, match="facts of 65537 bytes as JSON; at most 65536") as caught:
            parse(json.dumps({**event, "version": event["version"] + "x"}, ensure_ascii=ascii_only).encode())
        assert caught.value.reason == "too_large"


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
