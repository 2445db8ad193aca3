"""Times of the event contract: RFC 3339 on the wire, whole microseconds since 1970-01-01 UTC everywhere else. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US = 1_000_000
_FIRST_S = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_LAST_S = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:)(\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
#: Parsed seconds kept in a cache: the events of a batch are close in time.
_KEPT_SECONDS = 8192
#: Start and end of the fraction in ``2021-05-12T12:19:08.813000Z``, and the length of the text with 6 and 9 digits.
_FRACTION, _END, _LENGTHS = 20, 26, (27, 30)


class TimeUs(int):
    """Microseconds since 1970-01-01 UTC."""

    __slots__ = ()


def parse_time_us(text: object) -> TimeUs:
    """Microseconds since the epoch of an RFC 3339 time with offset.

    A leap second counts as the second before it. Digits below a microsecond are cut off.

    Raises:
        ValueError: ``text`` is not such a time, or is outside the years 1 to 9999 in UTC.
    """
    if not isinstance(text, str):
        raise ValueError(_EXPECTED)  # noqa: TRY004 - one kind of error for what is no time
    if len(text) in _LENGTHS and text[-1] == "Z" and text.isascii() and text[_FRACTION:-1].isdigit():
        # The form that most publishers use: the second comes from the cache, and only a new one is parsed.
        return TimeUs(_utc_second_us(text[:_FRACTION]) + int(text[_FRACTION:_END]))
    return _parsed(text)


_EXPECTED = "an RFC 3339 time with offset and at most 9 fraction digits, as 2021-05-12T12:19:08.813Z"


@lru_cache(_KEPT_SECONDS)
def _utc_second_us(text: str) -> int:
    return _parsed(f"{text}0Z")


def _parsed(text: str) -> TimeUs:
    if not (match := _RFC3339.fullmatch(text)):
        raise ValueError(_EXPECTED)
    minute, second, fraction, offset = match.groups()
    second_us = _second_us(minute, second, offset)
    return TimeUs(second_us + int(fraction[:6].ljust(6, "0")) if fraction else second_us)


@lru_cache(_KEPT_SECONDS)
def _second_us(minute: str, second: str, offset: str) -> int:
    text = minute + ("59" if second == "60" else second) + offset
    seconds = (datetime.fromisoformat(text.upper()) - _EPOCH) // timedelta(seconds=1)
    if not _FIRST_S <= seconds <= _LAST_S:
        raise ValueError("a time within the years 1 to 9999 in UTC")
    return seconds * _SECOND_US


def format_time_us(time_us: int) -> str:
    """The RFC 3339 text of ``time_us``, in UTC with six fraction digits."""
    return (_EPOCH + timedelta(microseconds=time_us)).strftime("%04Y-%m-%dT%H:%M:%S.%fZ")
