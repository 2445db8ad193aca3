"""Dead letters as tables, as text and as JSON values. Pure functions."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from replog_cli.display import formatting
from replog_cli.display.tables import WIDE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from replog_repair.dead_letters.checking import Checked
    from replog_repair.dead_letters.letter import DeadLetter
    from replog_repair.dead_letters.summary import Group


def letter_table(letters: Iterable[DeadLetter], now: datetime, width: int) -> Table:
    """Letters with their reasons."""
    table = _table("Letter", "Dead at", "Reason", *(["Type"] if width >= WIDE else []), "Record", "Error")
    for letter in letters:
        event_type = [_text(letter.fields.type)] if width >= WIDE else []
        table.add_row(
            Text(str(letter.place)),
            Text(formatting.clock(_at(letter.time_ms), now)),
            Text(letter.reason, "bold"),
            *event_type,
            _text(letter.fields.record_id or _readable(letter.key)),
            _text(letter.error),
        )
    return table


def group_table(groups: Iterable[Group], now: datetime) -> Table:
    """Letters counted by reason and type."""
    table = _table("Letters", "Reason", "Type", "First", "Last", "Newest letter", "Its error")
    for group in groups:
        table.add_row(
            Text(formatting.number(group.count)),
            Text(group.reason, "bold"),
            _text(group.type),
            Text(formatting.clock(_at(group.first_ms), now)),
            Text(formatting.clock(_at(group.newest.time_ms), now)),
            Text(str(group.newest.place)),
            _text(group.newest.error),
        )
    return table


def letter_text(letter: DeadLetter, checked: Checked, now: datetime) -> Table:
    """All that a letter says, and whether its event is valid now."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    origin = letter.origin
    rows: list[tuple[str, str | None]] = [
        ("letter", str(letter.place)),
        ("dead at", formatting.clock(_at(letter.time_ms), now)),
        ("reason", letter.reason),
        ("error", letter.error),
        ("event", origin and f"{origin.topic} {origin.partition}:{origin.offset}"),
        ("collector", letter.version),
        ("replays", str(letter.replays) if letter.replays else None),
        ("cut", ", ".join(map(_cut_part, letter.cut.items())) or None),
        ("checked now", verdict_text(checked)),
        ("key", _readable(letter.key)),
        *((f"header {name}", _readable(content)) for name, content in letter.headers),
        ("value", _readable(letter.value)),
    ]
    for name, content in rows:
        if content is not None:
            table.add_row(formatting.plain(name), _text(content))
    return table


def verdict_text(checked: Checked) -> str:
    """The verdict on a letter, with the reason and the error."""
    return ": ".join(filter(None, [str(checked.verdict), checked.reason, checked.error]))


def letter_json(letter: DeadLetter) -> dict[str, Any]:
    """A letter but for its value and headers, which may be large."""
    origin = letter.origin
    return {
        "partition": letter.place.partition,
        "offset": letter.place.offset,
        "deadAt": letter.time,
        "reason": letter.reason,
        "error": letter.error,
        "type": letter.fields.type,
        "taskKey": letter.fields.task_key,
        "recordId": letter.fields.record_id,
        "detailId": letter.fields.detail_id,
        **_bytes_json("key", letter.key),
        "valueBytes": len(letter.value or b""),
        "cut": dict(letter.cut),
        "replays": letter.replays,
        "origin": origin and origin._asdict(),
        "version": letter.version,
    }


def whole_letter_json(letter: DeadLetter, checked: Checked) -> dict[str, Any]:
    """A letter with its value, its headers and the check. Bytes that are no UTF-8 are in base64, as ``...Base64``."""
    headers = [{"name": name, **_bytes_json("value", content)} for name, content in letter.headers]
    return {
        **letter_json(letter),
        **_bytes_json("value", letter.value),
        "headers": headers,
        "check": check_json(checked),
    }


def checked_json(checked: Checked) -> dict[str, Any]:
    """A letter with its check."""
    return {**letter_json(checked.letter), "check": check_json(checked)}


def check_json(checked: Checked) -> dict[str, str]:
    """The verdict on a letter."""
    return {"verdict": str(checked.verdict), "reason": checked.reason, "error": checked.error}


def group_json(group: Group) -> dict[str, Any]:
    """Letters counted by reason and type."""
    return {
        "reason": group.reason,
        "type": group.type,
        "letters": group.count,
        "first": datetime.fromtimestamp(group.first_ms / 1000, UTC).isoformat().replace("+00:00", "Z"),
        "newest": letter_json(group.newest),
    }


def _cut_part(part: tuple[str, Any]) -> str:
    name, sizes = part
    if not isinstance(sizes, dict):
        return name
    return f"{name}: {formatting.number(sizes['kept'])} of {formatting.number(sizes['bytes'])} bytes are here"


def _bytes_json(name: str, content: bytes | None) -> Mapping[str, str | None]:
    if content is None:
        return {name: None}
    try:
        return {name: content.decode()}
    except UnicodeDecodeError:
        return {f"{name}Base64": base64.b64encode(content).decode()}


def _readable(content: bytes | None) -> str | None:
    return None if content is None else content.decode("utf-8", "replace")


def _at(time_ms: int) -> datetime:
    return datetime.fromtimestamp(max(0, time_ms) / 1000, UTC)


def _text(text: str | None) -> Text:
    return Text(formatting.plain(text or ""))


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="right" if name == "Letters" else "left", overflow="fold")
    return table
