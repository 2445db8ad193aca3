"""Time zones as clients ask for them, and as answers name them. Pure."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from datetime import tzinfo

#: Zones and their offsets kept at hand.
KEPT_ZONES = 1024
#: What Java's clients take for an offset, in minutes.
_MOST_MINUTES = 18 * 60

_OFFSET = re.compile(r"([+-])(?:(\d{1,2})(?::(\d\d))?|(\d\d)(\d\d))", re.ASCII)


@lru_cache(KEPT_ZONES)
def zone_of(text: str) -> tzinfo:
    """The zone that a client names: an IANA name, or an offset as ``+08:00``, ``+0800`` or ``+8``.

    Raises:
        ValueError: it is none.
    """
    offset = _OFFSET.fullmatch(text)
    try:
        return _fixed(offset) if offset else ZoneInfo(text)
    except (KeyError, OSError):
        raise ValueError(text) from None


def _fixed(offset: re.Match[str]) -> tzinfo:
    sign, hours, minutes, plain_hours, plain_minutes = offset.groups()
    past_hour = int(minutes or plain_minutes or 0)
    total = int(hours or plain_hours) * 60 + past_hour
    if past_hour >= 60 or total > _MOST_MINUTES:  # noqa: PLR2004 - minutes
        raise ValueError(offset[0])
    return timezone(timedelta(minutes=-total if sign == "-" else total))


def offset_now(zone: tzinfo) -> bytes:
    """How far ``zone`` is from UTC now, as ``+0800``."""
    return _offset(zone, int(time.time() // 60))


@lru_cache(KEPT_ZONES)
def _offset(zone: tzinfo, minute: int) -> bytes:
    moment = datetime.fromtimestamp(minute * 60, UTC).astimezone(zone)
    # Where an offset has seconds, four digits do not say them.
    return moment.strftime("%z")[:5].encode()
