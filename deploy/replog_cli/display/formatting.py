"""Numbers, times and statuses as people read them. Pure functions."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_THOUSAND = 1000
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_TEN = 10

#: Style of each status, by rich's names.
STATUS_STYLES = {"RUNNING": "cyan", "SUCCESS": "green", "FAILED": "bold red"}
STALE_STYLE = "yellow"


def number(value: float) -> str:
    """A whole number with separators."""
    return f"{value:,.0f}"


def size(count: float) -> str:
    """Bytes in decimal units, three digits: ``1.23 MB``. Any size, also beyond 64 bits."""
    unit = 0
    while count >= _THOUSAND and unit < len(_UNITS) - 1:
        count, unit = count / _THOUSAND, unit + 1
    return f"{_short(count)} {_UNITS[unit]}"


def rate(per_s: float, of: str) -> str:
    """A rate in the shortest unit of time in which it is 1 at least, or an hour: ``12 details/min``."""
    for seconds, unit in ((1, "s"), (_MINUTE_S, "min")):
        if per_s * seconds >= 1:
            return f"{_short(per_s * seconds)} {of}/{unit}"
    return f"{_short(per_s * _HOUR_S)} {of}/h"


def _short(value: float) -> str:
    return number(value) if value >= _THOUSAND / _TEN else f"{value:.3g}"


def duration(seconds: float) -> str:
    """A length of time in its two largest units: ``3 min 5 s``."""
    whole = max(0, round(seconds))
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"


def parse_time(text: str) -> datetime:
    """The time of an answer, which is in UTC and has no offset."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def day_and_minute(at: datetime, now: datetime) -> str:
    """``at`` in the zone of ``now``, in twelve characters at most: ``00:05:30``, or ``Nov 26 00:05`` on another day."""
    here = at.astimezone(now.tzinfo)
    return here.strftime("%H:%M:%S") if here.date() == now.date() else here.strftime("%b %d %H:%M")


def clock(at: datetime, now: datetime) -> str:
    """``at`` in the zone of ``now``: without its date if that is today's."""
    here = at.astimezone(now.tzinfo)
    return here.strftime("%H:%M:%S") if here.date() == now.date() else here.strftime("%Y-%m-%d %H:%M:%S")


def ran_for(started: str, ended: str | None, now: datetime) -> str:
    """The time from a start to an end, or to now; both as in answers."""
    until = parse_time(ended) if ended else now
    return duration((until - parse_time(started)).total_seconds())


def plain(text: str) -> str:
    """``text`` on one line and without control characters, so that a name cannot move the cursor."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
