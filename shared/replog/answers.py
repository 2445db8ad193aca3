"""A record as JSON, as every answer of the query API shows it, and the outcomes that collectors publish. Pure.

Keys and their order are those of :mod:`replog.fields`. Facts are copied as they are stored
(:mod:`replog.raw_entities`).
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Raw, Struct, defstruct
from msgspec.json import Encoder

from replog.fields import OVERVIEW, RECORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import tzinfo

    from replog.entities import Overview
    from replog.fields import Field
    from replog.raw_entities import RawRecord

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Minutes kept formatted.
KEPT_MINUTES = 4096
_SECONDS = [f"{second:02d}" for second in range(60)]
_MILLISECONDS = [f".{ms:03d}" for ms in range(1000)]

_encoder = Encoder()
encode, encode_lines = _encoder.encode, _encoder.encode_lines


def answer_type(name: str, table: Iterable[Field]) -> Callable[..., Struct]:
    """The struct of an object of an answer: encoding it gives the keys of ``table``, in the table's order.

    It is made by position, in that order: with names, making it costs as much as all else.
    """
    shown = [field for field in table if field.key]
    keys = {field.name: field.key or "" for field in shown}
    return defstruct(name, [(name, Any) for name in keys], rename=keys, gc=False)


_Record = answer_type("Record", RECORD)
_Overview = answer_type("Overview", OVERVIEW)


def record_answer(record_id: str, record: RawRecord, zone: tzinfo, *, stale: bool) -> Struct:
    """A Record of docs/api.md, with times in ``zone``."""
    last = local_time(record.last_ms, zone)
    return _Record(
        record_id,
        record.facts.task_key,
        record.status,
        local_time(record.start_ms, zone),
        last if record.end_ms == record.last_ms else local_end(record.end_ms, zone),
        record.error_reason,
        record.replicated_bytes,
        record.total_bytes,
        overview_answer(record.overview, record.facts.expected_details),
        last,
        stale,
    )


def overview_answer(overview: Overview, expected: int | Raw | None) -> Struct:
    """A roll-up of docs/api.md. Its sums may exceed 64 bits."""
    return _Overview(
        overview.success,
        overview.failed,
        overview.running,
        overview.total,
        expected,
        overview.skip,
        overview.conflict,
        overview.total_size,
    )


def local_end(end_ms: int | None, zone: tzinfo) -> str | None:
    """The end of a row as :func:`local_time`. Nearly always it is the last event, which is formatted already."""
    return None if end_ms is None else local_time(end_ms, zone)


def local_time(ms: int, zone: tzinfo) -> str:
    """A time of an answer: milliseconds since 1970 as ``yyyy-MM-ddTHH:mm:ss.SSS`` in ``zone``."""
    minute, rest = divmod(ms, 60_000)
    begun = _minute(minute, zone)
    return f"{begun}{_SECONDS[rest // 1000]}{_MILLISECONDS[rest % 1000]}" if begun else _of_any(ms, zone)


def local_times(moments: Iterable[int], zone: tzinfo) -> list[str]:
    """Each of many times as :func:`local_time`."""
    texts = []
    known, begun = None, ""
    for ms in moments:
        minute, rest = divmod(ms, 60_000)
        # Times of one answer are close to each other.
        if minute != known:
            known, begun = minute, _minute(minute, zone)
        texts.append(f"{begun}{_SECONDS[rest // 1000]}{_MILLISECONDS[rest % 1000]}" if begun else _of_any(ms, zone))
    return texts


@lru_cache(KEPT_MINUTES)
def _minute(minute: int, zone: tzinfo) -> str:
    """The text of a minute since 1970, without its seconds; empty where it is no whole minute in ``zone``.

    Some offsets of earlier times have seconds, as Monrovia's until 1972.
    """
    begin = _local(minute * 60, zone)
    if begin.second or (_local(minute * 60 + 59, zone) - begin).seconds != 59:  # noqa: PLR2004 - seconds
        return ""
    return f"{begin.isoformat(timespec='minutes')}:"


def _of_any(ms: int, zone: tzinfo) -> str:
    return _local(ms // 1000, zone).isoformat(timespec="seconds") + _MILLISECONDS[ms % 1000]


def _local(second: int, zone: tzinfo) -> datetime:
    moment = _EPOCH + timedelta(seconds=second)
    # Within a day of the first or last year that a date can name, the zone's time has no name.
    with suppress(OverflowError):
        moment = moment.astimezone(zone)
    return moment.replace(tzinfo=None)
