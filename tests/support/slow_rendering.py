"""Answers as JSON, put together slowly from what the oracle says, by Python's own library."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import tzinfo

_TIMES = ("startTime", "endTime", "lastEventTime")


def rendered(answer: dict[str, Any], zone: tzinfo) -> bytes:
    """A Record or Detail, whose times the oracle gives in UTC, in this zone."""
    times = {key: None if answer[key] is None else _local(answer[key], zone) for key in _TIMES}
    return json.dumps({**answer, **times}, ensure_ascii=False, separators=(",", ":")).encode()


def local_time(ms: int, zone: tzinfo) -> str:
    """A time in ms since 1970 as an answer shows it."""
    return _local((datetime(1970, 1, 1) + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds"), zone)  # noqa: DTZ001


def _local(text: str, zone: tzinfo) -> str:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    try:
        moment = moment.astimezone(zone)
    except OverflowError:
        # The zone's calendar lacks it; it stays in UTC.
        return text
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
