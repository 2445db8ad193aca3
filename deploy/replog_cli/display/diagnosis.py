"""The verdicts of a diagnosis, and the lag of a group, for the width that there is. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from replog_cli.display import formatting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from replog_repair.diagnosis.checking.checks import Check
    from replog_repair.diagnosis.lag import GroupLag, PartitionLag

_STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red"}
#: Width from which an advice has a column of its own.
_WIDE = 150


def checks(rows: Sequence[Check], width: int) -> RenderableType:
    """The checks, each with its verdict, and how many have which."""
    wide = width >= _WIDE
    table = _table("Verdict", "Check", "Found", *(["What to do"] if wide else []))
    for row in rows:
        found = Text(formatting.plain(row.found))
        if row.advice and not wide:
            found.append(f"\n{formatting.plain(row.advice)}", _STYLES[row.verdict])
        table.add_row(
            Text(row.verdict, _STYLES[row.verdict]),
            Text(f"{row.area} {row.name}"),
            found,
            *([Text(formatting.plain(row.advice))] if wide else []),
        )
    numbers = {verdict: sum(row.verdict == verdict for row in rows) for verdict in _STYLES}
    summary = ", ".join(f"{count} {verdict}" for verdict, count in numbers.items() if count)
    return Group(table, Text(f"\n{summary}"))


def lag(found: GroupLag, now_ms: int, width: int) -> RenderableType:
    """Members, and partitions with their offsets; then the sum."""
    parts: list[RenderableType] = [Text(f"{found.group} on {found.topic}: {found.state or 'unknown state'}", "bold")]
    if found.members:
        members = _table("Member", "Host", "Partitions")
        for member in found.members:
            numbers = ", ".join(map(str, member.partitions)) or "none"
            members.add_row(formatting.plain(member.client_id), formatting.plain(member.host), numbers)
        parts += [Text(), members]
    elif found.members is not None:
        parts.append(Text("The group has no members: no collector reads the topic.", formatting.STALE_STYLE))
    partitions = _table("Partition", "Committed", "Position", "End", "Lag", "Oldest unread")
    for partition in found.partitions:
        partitions.add_row(*_cells(partition, now_ms))
    return Group(*parts, Text(), partitions, Text(f"\n{_summary(found, now_ms)}"))


def _cells(partition: PartitionLag, now_ms: int) -> list[str]:
    offsets = (partition.committed, partition.position, partition.end, partition.lag)
    return [
        str(partition.number),
        *("none" if offset is None else formatting.number(offset) for offset in offsets),
        _age(partition.age_s(now_ms)),
    ]


def _summary(found: GroupLag, now_ms: int) -> str:
    text = f"Lag: {formatting.number(found.total)}"
    if (age_s := found.age_s(now_ms)) is not None:
        text += f", the oldest unread event was published {formatting.duration(age_s)} ago"
    if found.lost:
        text += f"; {formatting.number(found.lost)} messages were deleted before they were read"
    return text


def _age(age_s: float | None) -> str:
    return "" if age_s is None else f"{formatting.duration(age_s)} ago"


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        right = name in {"Partition", "Committed", "Position", "End", "Lag", "Oldest unread"}
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table
