"""Times as users write them in options: a moment, or how long ago it was."""

from __future__ import annotations

import re
import time

import typer

from replog.times import parse_time_us

_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_AGO = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
#: How help texts describe such a time.
METAVAR = "TIME"
FORMS = "as 2021-05-12T12:19:08Z, or 90s, 30m, 2h, 7d ago"


def time_option(text: str) -> int:
    """Milliseconds since 1970 of an option's value; the parser of such options.

    Raises:
        typer.BadParameter: it is no time.
    """
    try:
        return time_ms(text, now_ms=time.time_ns() // 1_000_000)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time; allowed: {FORMS}") from None


def time_ms(text: str, *, now_ms: int) -> int:
    """Milliseconds since 1970 of an RFC 3339 time, or of a time before now.

    Raises:
        ValueError: it is neither.
    """
    if ago := _AGO.fullmatch(text):
        return now_ms - int(ago[1]) * _UNITS_MS[ago[2]]
    return parse_time_us(text) // 1000
