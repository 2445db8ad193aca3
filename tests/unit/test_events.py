from __future__ import annotations

import json
from typing import Any

import pytest

from replog.errors import InvalidEventError
from replog.events import MAX_VALUE_BYTES, encode, parse
from replog.records import Progressed, Tallied, progress_of
from replog.state import registers_of
from replog.times import format_time_us, parse_time_us

STARTED: dict[str, Any] = {
    "type": "detail.started",
    "recordId": "r",
    "detailId": "d",
    "eventTime": "2021-05-12T12:19:08.813Z",
}
FINISHED = {**STARTED, "type": "detail.finished", "status": "SUCCESS"}
PROGRESSED = {**STARTED, "type": "detail.progressed", "progress": {}}
RECORD = {"type": "record.started", "recordId": "r", "taskKey": "t", "eventTime": "2021-05-12T12:19:08.813Z"}

EXAMPLES = [
    {**RECORD, "replicaType": "SCHEDULED", "replicaObjectType": "REPOSITORY", "expectedDetails": 3},
    {**RECORD, "type": "record.progressed", "replicatedBytes": 1, "totalBytes": 2**63 - 1},
    {**RECORD, "type": "record.finished", "status": "FAILED", "errorReason": "disk full"},
    {**STARTED, "localCluster": "center", "versions": ["1.1.0"], "size": 0, "path": "x" * 4096},
    {**PROGRESSED, "progress": {"blob": {"total": 10, "success": 4}, "node": None, "totalSize": 4096}},
    {**FINISHED, "attempt": 7, "eventId": "e", "unknown": {"is": "ignored"}},
]


def invalid(value: bytes | dict[str, Any]) -> InvalidEventError:
    with pytest.raises(InvalidEventError) as caught:
        parse(value if isinstance(value, bytes) else json.dumps(value).encode())
    return caught.value


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["type"])
def test_an_event_survives_encoding_and_parsing(example: dict[str, Any]) -> None:
    event = parse(json.dumps(example).encode())
    again = parse(encode(event))
    assert encode(again) == encode(event)
    assert registers_of(again) == registers_of(event)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"type":"detail.started","recordId":"\\ud800"', "not_json"),
        (b'{"type":"detail.started","recordId":\\ud800}', "not_json"),
        (b'{"type":"record.started","x":NaN}', "not_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"{}", "missing_field"),
        (b'{"type":"record.paused"}', "unknown_type"),
        (b'{"type":7}', "unknown_type"),
        (b'{"type":null}', "unknown_type"),
    ],
)
def test_what_is_no_event_at_all_is_refused_with_its_reason(value: bytes, reason: str) -> None:
    assert invalid(value).reason == reason


@pytest.mark.parametrize("field", ["recordId", "taskKey", "eventTime"])
def test_a_missing_field_is_named(field: str) -> None:
    error = invalid({name: value for name, value in RECORD.items() if name != field})
    assert error.reason == "missing_field"
    assert field in str(error)


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({**RECORD, "recordId": ""}, "recordId"),
        ({**RECORD, "recordId": "x" * 129}, "recordId"),
        ({**RECORD, "recordId": "a\nb"}, "recordId"),
        ({**RECORD, "recordId": 7}, "recordId"),
        ({**RECORD, "taskKey": "a\x85"}, "taskKey"),
        ({**RECORD, "attempt": -1}, "attempt"),
        ({**RECORD, "attempt": "1"}, "attempt"),
        ({**RECORD, "attempt": True}, "attempt"),
        ({**RECORD, "attempt": 1.5}, "attempt"),
        ({**RECORD, "attempt": 1e19}, "attempt"),
        ({**RECORD, "attempt": -1.0}, "attempt"),
        ({**RECORD, "replicaType": "WEEKLY"}, "replicaType"),
        ({**RECORD, "expectedDetails": 2**63}, "expectedDetails"),
        ({**RECORD, "type": "record.finished", "status": "RUNNING"}, "status"),
        ({**RECORD, "type": "record.finished", "status": "success"}, "status"),
        ({**STARTED, "detailId": ""}, "detailId"),
        ({**STARTED, "repoName": "x" * 1025}, "repoName"),
        ({**STARTED, "path": "x" * 4097}, "path"),
        ({**STARTED, "versions": "1.0"}, "versions"),
        ({**STARTED, "versions": [1]}, "versions.0"),
        ({**STARTED, "versions": ["1"] * 1001}, "versions"),
        ({**STARTED, "size": -1}, "size"),
        ({**PROGRESSED, "progress": None}, "progress"),
        ({**PROGRESSED, "progress": []}, "progress"),
        ({**PROGRESSED, "progress": {"blob": {"total": -1}}}, "progress.blob.total"),
        ({**PROGRESSED, "progress": {"blob": {"total": None}}}, "progress.blob.total"),
        ({**PROGRESSED, "progress": {"totalSize": "1"}}, "progress.totalSize"),
    ],
)
def test_an_ill_typed_field_is_named_with_what_it_holds(event: dict[str, Any], field: str) -> None:
    error = invalid(event)
    assert error.reason == "invalid_field"
    assert str(error).startswith(f"{field} is wrong: ")


def test_a_huge_value_is_not_repeated_whole_in_the_message() -> None:
    assert len(str(invalid({**RECORD, "recordId": "x" * 100_000}))) < 500


def test_a_value_over_one_mebibyte_is_refused() -> None:
    padding = "x" * MAX_VALUE_BYTES
    assert invalid({**RECORD, "padding": padding}).reason == "too_large"


def test_a_value_of_exactly_one_mebibyte_is_taken() -> None:
    short = json.dumps({**RECORD, "padding": ""}).encode()
    value = json.dumps({**RECORD, "padding": "x" * (MAX_VALUE_BYTES - len(short))}).encode()
    assert len(value) == MAX_VALUE_BYTES
    assert parse(value).record_id == "r"


@pytest.mark.parametrize("event_type", ["record.finished", "detail.finished"])
@pytest.mark.parametrize("letter", ["x", "é", "😀", "\x01"])
def test_of_a_long_reason_the_beginning_is_kept(event_type: str, letter: str) -> None:
    event = {**RECORD, **STARTED, "type": event_type, "status": "FAILED"}
    kept: Any = parse(json.dumps({**event, "errorReason": letter * 8192}).encode())
    assert kept.error_reason == letter * 8192
    for ascii_only in (True, False):
        cut: Any = parse(json.dumps({**event, "errorReason": letter * 8193}, ensure_ascii=ascii_only).encode())
        assert cut.error_reason == letter * 8191 + "…"
        # What was cut is the content: it is never cut again, and meets another of the same beginning as the same.
        assert parse(encode(cut)) == cut
        longer = json.dumps({**event, "errorReason": letter * 9000}, ensure_ascii=ascii_only).encode()
        assert registers_of(parse(longer)) == registers_of(cut)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4.0", 4),
        ("4e0", 4),
        ("40E-1", 4),
        ("-0.0", 0),
        ("1e3", 1000),
        ("0e9999999999", 0),
        ("9007199254740992.0", 2**53),
        ("9007199254740993.0", 2**53 + 1),
        ("1e18", 10**18),
    ],
)
def test_a_whole_number_is_an_integer_however_it_is_written(text: str, number: int) -> None:
    value = json.dumps(RECORD)[:-1] + f', "expectedDetails": {text}}}'
    event: Any = parse(value.encode())
    assert event.expected_details == number
    assert type(event.expected_details) is int


@pytest.mark.parametrize("text", ["4.5", "1e-1", "1e19", "1e400", "-1.0", "-1e400", "9007199254740993.5"])
def test_another_number_is_none(text: str) -> None:
    assert invalid(f'{json.dumps(RECORD)[:-1]}, "expectedDetails": {text}}}'.encode()).reason == "invalid_field"


def test_an_optional_field_that_is_null_counts_as_absent() -> None:
    event = parse(json.dumps({**STARTED, "packageName": None, "taskKey": None, "size": None}).encode())
    assert encode(event) == encode(parse(json.dumps(STARTED).encode()))


def test_an_omitted_count_is_zero() -> None:
    event: Any = parse(json.dumps({**PROGRESSED, "progress": {"blob": {"total": 3}}}).encode())
    assert progress_of(registers_of(event).progress) == Progressed(blob=Tallied(0, 0, 0, total=3))


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00.5z", 500_000),
        ("1970-01-01T08:00:00.000001+08:00", 1),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("1970-01-01T00:00:00-00:00", 0),
        ("2016-12-31T23:59:60Z", 1_483_228_799_000_000),
        ("1970-01-01T00:00:00.123456789Z", 123_456),
        ("1970-01-01T00:00:00.999999999Z", 999_999),
        ("1969-12-31T23:59:59.000000999Z", -1_000_000),
        ("1970-01-01T00:00:00.0000019+00:00", 1),
    ],
)
def test_times_are_read_to_the_microsecond(text: str, time_us: int) -> None:
    assert parse_time_us(text) == time_us


@pytest.mark.parametrize(
    "text",
    [
        "2021-05-12T12:19:08.813",
        "2021-05-12 12:19:08Z",
        "2021-05-12T12:19:08.1234567890Z",
        "2021-05-12T12:19:08.12345678٣Z",
        "2021-05-12T12:19:08,123456789Z",
        "2021-05-12T12:19:08,5Z",
        "2021-05-12T12:19:08,813000Z",
        "2021-05-12T12:19:08.81300٣Z",
        "2021-05-12T12:19:08.813000z0Z",
        "2021-05-12T12:19Z",
        "2021-05-12",
        "20210512T121908Z",
        "2021-13-12T12:19:08Z",
        "2021-05-12T24:00:00Z",
        "2021-05-12T12:19:08+24:00",
        "0001-01-01T00:00:00+01:00",
        "٢٠٢١-05-12T12:19:08Z",
        1620821948,
        None,
    ],
)
def test_other_times_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"RFC 3339|years|out of range|must be in|strictly between|hour"):
        parse_time_us(text)


def test_the_first_and_last_moments_survive() -> None:
    for text in ("0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"):
        assert format_time_us(parse_time_us(text)) == text
