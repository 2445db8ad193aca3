"""Time zones are read as clients write them, and named by their offset."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from replog_api.http.time_zones import offset_now, zone_of

SUMMER = datetime(2021, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("+08:00", 480),
        ("+0800", 480),
        ("+8", 480),
        ("+08", 480),
        ("+8:30", 510),
        ("-3", -180),
        ("-03:30", -210),
        ("-0330", -210),
        ("+00:00", 0),
        ("-0", 0),
        ("+18", 1080),
        ("-18:00", -1080),
        ("+05:45", 345),
        ("8", 480),
        ("0", 0),
        ("08:00", 480),
        ("0530", 330),
        ("5.5", 330),
        ("-3.5", -210),
        ("+5.75", 345),
        ("-0.5", -30),
        ("5.333333333333333", 320),
        ("18.0", 1080),
        ("Z", 0),
        ("UTC", 0),
        ("UT", 0),
        ("GMT", 0),
        ("GMT0", 0),
        ("UTC+8", 480),
        ("GMT-03:30", -210),
        ("UT+0545", 345),
        ("UTC5.5", 330),
    ],
)
def test_an_offset_is_a_zone(text: str, minutes: int) -> None:
    """In every spelling."""
    zone = zone_of(text)
    assert zone
    assert zone.utcoffset(SUMMER) == timedelta(minutes=minutes)


@pytest.mark.parametrize("minutes", range(-12 * 60, 14 * 60 + 1, 15))
def test_what_a_browser_knows_of_its_zone_is_a_zone(minutes: int) -> None:
    """As JavaScript writes ``getTimezoneOffset() / -60``."""
    written = repr(minutes / 60).removesuffix(".0")
    zone = zone_of(written)
    assert zone
    assert zone.utcoffset(SUMMER) == timedelta(minutes=minutes)


@pytest.mark.parametrize("name", ["UTC", "Asia/Shanghai", "Europe/Berlin", "America/Argentina/Buenos_Aires"])
def test_a_name_is_a_zone(name: str) -> None:
    """That of the IANA."""
    assert zone_of(name) is ZoneInfo(name)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "+", "+8:0", "+800", "+08:60", "+0860", "+18:01", "+1801", "+19", "+99:99", "+080000", "+８"),
        *("18.1", "8.", ".5", "8,5", "5.5:30", "--8", "8+", "NaN", "undefined", "ZZ", "Z+8", "UTC+", "UTC+25", "utc 8"),
        *(
            "Asia",
            "Asia/Nowhere",
            "../etc/passwd",
            "/etc/localtime",
            "a\x00b",
            "x" * 5000,
            "日本",
            "+08:00\n",
            "zone.tab",
        ),
    ],
)
def test_anything_else_is_none(text: str) -> None:
    """And nothing of the machine is read for it."""
    assert zone_of(text) is None


@pytest.mark.parametrize(("text", "shown"), [("UTC", b"+0000"), ("Asia/Shanghai", b"+0800"), ("-03:30", b"-0330")])
def test_an_answer_names_the_offset(text: str, shown: bytes) -> None:
    """As four digits."""
    assert offset_now(zone_of(text) or UTC) == shown


def test_an_offset_with_seconds_is_named_without_them() -> None:
    """Four digits are what clients read."""
    assert offset_now(timezone(timedelta(minutes=8, seconds=30))) == b"+0008"
