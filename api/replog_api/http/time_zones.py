"""Parsing of the time zones that clients send, and the offsets that answers name. Pure."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from datetime import tzinfo

#: Most zones, and offsets, that are cached.
KEPT_ZONES = 1024
#: Longest text that is read, in characters; no zone's name is as long.
_MOST_CHARACTERS = 64
#: Largest offset that Java's clients take, in minutes.
_MOST_MINUTES = 18 * 60

_UTC = "UTC|UT|GMT"
_OFFSET = re.compile(
    rf"(?:{_UTC})?(?P<sign>[+-]?)"
    r"(?:(?P<hours>\d\d?)(?::(?P<minutes>\d\d)|(?P<part>\.\d+))?|(?P<four>\d{4}))",
    re.ASCII,
)
_ZERO = re.compile(rf"Z|{_UTC}")


def zone_of(text: str) -> tzinfo | None:
    """The zone that ``text`` names; None where it names none.

    It is an IANA name; or an offset, with or without sign, in hours (``8``), decimal hours (``5.5``) or hours and
    minutes (``+08:00``, ``+0800``), alone or behind ``UTC``, ``UT`` or ``GMT``; or one of these three or ``Z`` alone.
    """
    return _read(text) if len(text) <= _MOST_CHARACTERS else None


@lru_cache(KEPT_ZONES)
def _read(text: str) -> tzinfo | None:
    if _ZERO.fullmatch(text):
        return ZoneInfo("UTC")
    offset = _OFFSET.fullmatch(text)
    try:
        return _fixed(offset) if offset else ZoneInfo(text)
    # Of no name ZoneInfo says so in many ways: a folder's name, a file that holds no zone, no file name at all.
    except (KeyError, OSError, ValueError):
        return None


def _fixed(offset: re.Match[str]) -> tzinfo:
    """The zone of this offset. Raises ValueError: there is no such offset."""
    digits = offset["four"]
    hours, minutes = (digits[:2], digits[2:]) if digits else (offset["hours"], offset["minutes"] or "0")
    past_hour = round(float(offset["part"]) * 60) if offset["part"] else int(minutes)
    total = int(hours) * 60 + past_hour
    if int(minutes) >= 60 or total > _MOST_MINUTES:  # noqa: PLR2004 - minutes
        raise ValueError(offset[0])
    return timezone(timedelta(minutes=-total if offset["sign"] == "-" else total))


def offset_now(zone: tzinfo) -> bytes:
    """The offset of ``zone`` from UTC now, as ``+0800``."""
    return _offset(zone, int(time.time() // 60))


@lru_cache(KEPT_ZONES)
def _offset(zone: tzinfo, minute: int) -> bytes:
    moment = datetime.fromtimestamp(minute * 60, UTC).astimezone(zone)
    # Where an offset has seconds, four digits do not say them.
    return moment.strftime("%z")[:5].encode()
