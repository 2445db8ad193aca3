"""Dead letters as they are read, selected, counted and deleted."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import pytest

from replog import letters
from replog.errors import FatalError
from replog.store.write.offsets import Span
from replog_cli.time_options import time_ms
from replog_collector.kafka.source import Unreadable
from replog_repair.dead_letters.letter import DeadLetter, Place, letter_of
from replog_repair.dead_letters.purging import to_delete
from replog_repair.dead_letters.selection import Newest, NewestPlaces, Selection
from replog_repair.dead_letters.summary import MOST_GROUPS, OTHERS, Summary
from replog_repair.message_fields import MessageFields, belongs_to, fields_of
from tests.support.fakes import FakeMessage

HEADERS = [
    ("trace", b"1"),
    ("replog.error", b"of the event itself"),
    (letters.REPLAYS, b"2"),
    (letters.REASON, b"refused"),
    (letters.ERROR, b"WRONGTYPE"),
    (letters.TOPIC, b"events"),
    (letters.PARTITION, b"3"),
    (letters.OFFSET, b"1042"),
    (letters.DEAD_AT, b"2021-05-12T12:19:21.500Z"),
    (letters.VERSION, b"0.1.0"),
]
VALUE = b'{"type":"record.started","recordId":"r","taskKey":"t"}'
LETTER = letter_of(FakeMessage(VALUE, partition=1, offset=7, timestamp=5, key=b"k", headers=HEADERS))


def test_a_letter_is_read_with_its_own_headers_and_those_of_the_event() -> None:
    assert LETTER.place == Place(1, 7)
    assert str(LETTER.place) == "1:7"
    assert (LETTER.reason, LETTER.error, LETTER.version, LETTER.replays) == ("refused", "WRONGTYPE", "0.1.0", 2)
    assert LETTER.origin == letters.Origin("events", 3, 1042)
    assert LETTER.time == "2021-05-12T12:19:21.500000Z"
    assert LETTER.headers == (("trace", b"1"),)
    assert LETTER.fields == MessageFields("record.started", "t", "r", None)
    assert LETTER.cut == {}


def test_a_message_without_headers_is_a_letter_of_unknown_reason() -> None:
    letter = letter_of(FakeMessage(b"x", timestamp=5))
    assert (letter.reason, letter.error, letter.origin, letter.time_ms, letter.replays) == ("unknown", "", None, 5, 0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (letters.PARTITION, b"x"),
        (letters.OFFSET, b"-1"),
        (letters.OFFSET, b""),
        (letters.TOPIC, b""),
        (letters.TOPIC, None),
    ],
)
def test_an_origin_that_is_not_legible_is_none(name: str, content: bytes | None) -> None:
    assert letter_of(FakeMessage(b"x", headers=[*HEADERS, (name, content)])).origin is None


@pytest.mark.parametrize("timestamp", [-1, -(2**63), 2**63 - 1])
def test_any_timestamp_is_a_time(timestamp: int) -> None:
    letter = letter_of(FakeMessage(b"x", timestamp=timestamp, headers=[(letters.DEAD_AT, b"today")]))
    assert letter.time in {"1970-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999000Z"}


def test_a_letter_that_cannot_be_read_itself_is_one_all_the_same() -> None:
    letter = letter_of(Unreadable(2, 5, "the checksum of the batch does not fit", last=9, timestamp=8))
    assert (letter.place, letter.origin) == (Place(2, 5), None)
    assert "the checksum of the batch does not fit" in letter.error


def test_a_letter_says_what_was_cut() -> None:
    cut = {"value": {"bytes": 10, "kept": 2}}
    assert letter_of(FakeMessage(b"x", headers=[(letters.CUT, json.dumps(cut).encode())])).cut == cut
    assert letter_of(FakeMessage(b"x", headers=[(letters.CUT, b"no JSON")])).cut == {"value": None}


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        (None, MessageFields()),
        (b"[1]", MessageFields()),
        (b"\xff", MessageFields()),
        (b'{"type":7,"recordId":"r"}', MessageFields(record_id="r")),
        (b'{"recordId":"r\\u00e9","taskKey":"a\\"b","versions":["1', MessageFields(record_id="ré", task_key='a"b')),
        (b'{"recordId":"r","recordId":"s', MessageFields(record_id="r")),
        (b'{"attempt":2,"detailId":"d"}', MessageFields(detail_id="d", attempt=2)),
    ],
)
def test_fields_of_any_value(value: bytes | None, fields: MessageFields) -> None:
    """Also of one that was cut, as far as they are there."""
    assert fields_of(value) == fields


def test_the_key_tells_the_record_where_the_value_does_not() -> None:
    assert belongs_to(b"r", MessageFields(), "r")
    assert not belongs_to(b"r", MessageFields(record_id="s"), "r")
    assert belongs_to(None, MessageFields(record_id="r"), "r")
    assert not belongs_to(None, MessageFields(), "r")


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (Selection(), True),
        (Selection(since_ms=LETTER.time_ms), True),
        (Selection(since_ms=LETTER.time_ms + 1), False),
        (Selection(until_ms=LETTER.time_ms), False),
        (Selection(until_ms=LETTER.time_ms + 1), True),
        (Selection(reasons=frozenset({"refused", "not_json"})), True),
        (Selection(reasons=frozenset({"not_json"})), False),
        (Selection(types=frozenset({"record.started"})), True),
        (Selection(types=frozenset({"record.finished"})), False),
        (Selection(task_key="t"), True),
        (Selection(task_key="tt"), False),
        (Selection(record_id="r"), True),
        (Selection(record_id="k"), False),
        (Selection(text="WRONG"), True),
        (Selection(text='"recordId":"r"'), True),
        (Selection(text="k"), True),
        (Selection(text="absent"), False),
        (Selection(record_id="r", reasons=frozenset({"not_json"})), False),
    ],
)
def test_selection(selection: Selection, chosen: bool) -> None:  # noqa: FBT001
    assert selection.has(LETTER) is chosen


def test_kafka_is_asked_from_a_little_earlier_on() -> None:
    assert Selection(since_ms=5_000_000).search_from_ms == 1_400_000
    assert Selection(since_ms=5).search_from_ms == Selection().search_from_ms == 0


def shuffled(count: int) -> list[DeadLetter]:
    made = [replace(LETTER, place=Place(number % 3, number), time_ms=number // 4) for number in range(count)]
    return Random(1).sample(made, count)


def test_the_newest_are_kept() -> None:
    newest, places = Newest(10), NewestPlaces(10)
    newest.add(shuffled(100))
    places.add(shuffled(100))
    expected = sorted(shuffled(100), key=lambda letter: (letter.time_ms, letter.place), reverse=True)[:10]
    assert newest.letters == expected
    assert newest.added == 100
    assert places.places == {letter.place for letter in expected}


def test_a_summary_counts_by_reason_and_type() -> None:
    summary = Summary()
    summary.add(shuffled(8))
    summary.add([replace(LETTER, reason="not_json", value=b"{", time_ms=3)])
    (first, second) = summary.groups
    assert (first.reason, first.type, first.count, first.first_ms) == ("refused", "record.started", 8, 0)
    assert first.newest.time_ms == 1
    assert (second.reason, second.type, second.count) == ("not_json", None, 1)


def test_a_summary_of_very_many_types_is_bounded() -> None:
    summary = Summary()
    summary.add(replace(LETTER, value=b'{"type":"t%d"}' % number) for number in range(MOST_GROUPS + 50))
    groups = summary.groups
    assert len(groups) == MOST_GROUPS + 1
    assert (groups[0].reason, groups[0].count) == (OTHERS, 50)


def test_a_deletion_is_checked() -> None:
    available = {0: Span(5, 10), 1: Span(0, 0)}
    assert to_delete("dlq", available, [Place(0, 7)]) == {0: Span(5, 7)}
    assert to_delete("dlq", available, [Place(0, 3), Place(1, 0)]) == {0: Span(5, 5), 1: Span(0, 0)}
    assert to_delete("dlq", available, [Place(0, 10)]) == {0: Span(5, 10)}
    for befores, words in (
        ([Place(0, 11)], "0:11 is beyond that"),
        ([Place(2, 0)], "no partition 2; it has 2"),
        ([Place(0, 6), Place(0, 7)], "partition 0 is given twice"),
    ):
        with pytest.raises(FatalError, match=words):
            to_delete("dlq", available, befores)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("90s", 910_000), ("10m", 400_000), ("0d", 1_000_000), ("1970-01-01T00:00:01+00:00", 1000), ("1h", -2_600_000)],
)
def test_times_as_users_write_them(text: str, ms: int) -> None:
    assert time_ms(text, now_ms=1_000_000) == ms


@pytest.mark.parametrize("text", ["", "2", "2w", "-2h", "2021-05-12", "2021-05-12T12:19:08", "now", "２h"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        time_ms(text, now_ms=0)
