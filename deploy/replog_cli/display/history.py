"""The events of a record as a table and as JSON values. Pure functions."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from replog.times import parse_time_us
from replog_cli.display import formatting
from replog_cli.display.tables import WIDE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replog_repair.history.folding import HistoryEntry

_EFFECT_STYLES = {"applied": "green", "invalid": "bold red"}
#: Characters that are shown of a value.
_SHOWN = 60


def entry_table(entries: Iterable[HistoryEntry], now: datetime, width: int) -> Table:
    """Events in the order of the topic, each with its effect and the fields that it changed."""
    wide = width >= WIDE
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Event", "Published", *(["Happened"] if wide else []), "Type", "Detail", "Effect", "Changed"):
        table.add_column(name, overflow="fold")
    for entry in entries:
        happened = [Text(_clock(entry.event_time, now))] if wide else []
        table.add_row(
            Text(f"{entry.partition}:{entry.offset}"),
            Text(_published(entry, now)),
            *happened,
            Text(formatting.plain(_type(entry))),
            Text(formatting.plain(entry.detail_id or "")),
            Text(entry.effect, _EFFECT_STYLES.get(entry.effect, "dim")),
            Text(formatting.plain(entry.error or _changes(entry))),
        )
    return table


def entry_json(entry: HistoryEntry) -> dict[str, Any]:
    """One event; times are in UTC."""
    published = datetime.fromtimestamp(entry.published_ms / 1000, UTC) if entry.published_ms >= 0 else None
    return {
        "partition": entry.partition,
        "offset": entry.offset,
        "published": published and published.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventTime": entry.event_time,
        "type": entry.type,
        "detailId": entry.detail_id,
        "attempt": entry.attempt,
        "effect": entry.effect,
        "changes": {name: {"before": before, "after": after} for name, (before, after) in entry.changes.items()},
        "error": entry.error or None,
    }


def _type(entry: HistoryEntry) -> str:
    return f"{entry.type or ''} (attempt {entry.attempt})" if entry.attempt else entry.type or ""


def _published(entry: HistoryEntry, now: datetime) -> str:
    if entry.published_ms < 0:
        return "unknown"
    return formatting.clock(datetime.fromtimestamp(entry.published_ms / 1000, UTC), now)


def _clock(event_time: str | None, now: datetime) -> str:
    if event_time is None:
        return ""
    return formatting.clock(datetime.fromtimestamp(parse_time_us(event_time) / 1_000_000, UTC), now)


def _changes(entry: HistoryEntry) -> str:
    return ", ".join(f"{name} {_value(after)}" for name, (_, after) in entry.changes.items())


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
