"""Tables of tasks, records, details and their summaries, for the width that there is. Pure functions.

Rows are the JSON values of docs/api.md. Ids and keys are never shortened: they are folded, so that they can be copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from replog_cli.display import formatting

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

#: Widths from which a table has more columns.
MEDIUM, WIDE = 110, 150


def tasks(rows: Iterable[dict[str, Any]], now: datetime, width: int) -> Table:
    """Tasks with their latest records."""
    table = _table("Task", *_RUN_COLUMNS, *(["Latest record"] if width >= MEDIUM else []), *_reason_column(width))
    for row in rows:
        record = row["record"]
        if record is None:
            table.add_row(_name(row["taskKey"]), Text("no record"))
            continue
        latest = [_name(record["id"])] if width >= MEDIUM else []
        table.add_row(_name(row["taskKey"]), *_run_cells(record, now), *latest, *_reason_cells(record, width))
    return table


def records(rows: Iterable[dict[str, Any]], now: datetime, width: int) -> Table:
    """Records of a task."""
    table = _table("Record", *_RUN_COLUMNS, *(["Size"] if width >= MEDIUM else []), *_reason_column(width))
    for record in rows:
        size = [Text(formatting.size(record["replicaOverview"]["totalSize"]))] if width >= MEDIUM else []
        table.add_row(_name(record["id"]), *_run_cells(record, now), *size, *_reason_cells(record, width))
    return table


def details(rows: Iterable[dict[str, Any]], now: datetime, width: int) -> Table:
    """Details of a record. In a narrow table the reason of a failure stands below what failed."""
    wide = width >= MEDIUM
    table = _table(
        "Cluster", *(["Repository"] if wide else []), "Content", "Status", "Done", "Took", *_reason_column(width)
    )
    for row in rows:
        content = Text(formatting.plain(content_of(row)))
        if row["errorReason"] and not _reason_column(width):
            content.append(f"\n{formatting.plain(row['errorReason'])}", formatting.STATUS_STYLES["FAILED"])
        table.add_row(
            _name(row["remoteCluster"]),
            *([_name(row["localRepoName"])] if wide else []),
            content,
            status(row),
            Text(_artifacts(row["progress"])),
            Text(formatting.ran_for(row["startTime"], row["endTime"], now)),
            *_reason_cells(row, width),
        )
    return table


def silent(rows: Iterable[dict[str, Any]], now: datetime, width: int) -> Table:
    """Details that run, each with its last event and how long ago that was."""
    wide = width >= MEDIUM
    table = _table("Cluster", *(["Repository"] if wide else []), "Content", "Done", "Last event", "Silent for")
    for row in rows:
        last = formatting.parse_time(row["lastEventTime"])
        table.add_row(
            _name(row["remoteCluster"]),
            *([_name(row["localRepoName"])] if wide else []),
            Text(formatting.plain(content_of(row))),
            Text(_artifacts(row["progress"])),
            Text(formatting.day_and_minute(last, now)),
            Text(formatting.duration((now - last).total_seconds())),
        )
    return table


def clusters(rows: Iterable[dict[str, Any]]) -> Table:
    """Numbers of details by remote cluster."""
    table = _table("Cluster", *(name.capitalize() for name in _COUNTS))
    for row in rows:
        table.add_row(_name(row["remoteCluster"]), *(_count(name, row[name]) for name in _COUNTS))
    return table


def reasons(rows: Iterable[dict[str, Any]], width: int) -> Table:
    """Failures grouped by their reasons, each with the newest detail that has it."""
    table = _table("Failed", "Reason", "Clusters", *(["Newest detail"] if width >= MEDIUM else []))
    for row in rows:
        table.add_row(
            _count("failed", row["failed"]),
            Text(formatting.plain(row["errorReason"] or "(no reason given)")),
            Text(formatting.plain(", ".join(row["remoteClusters"]))),
            *([_name(row["detailId"])] if width >= MEDIUM else []),
        )
    return table


def status(row: dict[str, Any]) -> Text:
    """The status of a record or detail, and that it is stale."""
    text = Text(row["status"], formatting.STATUS_STYLES.get(row["status"], ""))
    return text.append(" stale", formatting.STALE_STYLE) if row["stale"] else text


def done_of(overview: dict[str, Any]) -> str:
    """Finished details of all: ``4/12``, or ``4/12+`` if the worker did not say how many there will be."""
    done, expected = overview["success"] + overview["failed"], overview["expected"]
    if expected is None:
        return f"{formatting.number(done)}/{formatting.number(overview['total'])}+"
    return f"{formatting.number(done)}/{formatting.number(expected)}"


def content_of(detail: dict[str, Any]) -> str:
    """The thing that a detail replicates: its package with versions, its path, or its artifact."""
    if (package := detail["packageConstraint"]) is not None:
        versions = ", ".join(package["versions"] or [])
        return f"{package['packageKey']} {versions}".strip()
    if (path := detail["pathConstraint"]) is not None:
        return str(path["path"])
    return " ".join(filter(None, [detail["artifactName"], detail["version"]])) or str(detail["id"])


_RUN_COLUMNS = ("Status", "Started", "Took", "Details", "Failed")
_COUNTS = ("failed", "running", "success", "total")
_RIGHT = {"Took", "Silent for", "Details", "Size", "Done", *(name.capitalize() for name in _COUNTS)}


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="right" if name in _RIGHT else "left", overflow="fold")
    return table


def _name(text: str) -> Text:
    return Text(formatting.plain(text) or "(none)", overflow="fold")


def _run_cells(record: dict[str, Any], now: datetime) -> list[Text]:
    overview = record["replicaOverview"]
    return [
        status(record),
        Text(formatting.day_and_minute(formatting.parse_time(record["startTime"]), now)),
        Text(formatting.ran_for(record["startTime"], record["endTime"], now)),
        Text(done_of(overview)),
        _count("failed", overview["failed"]),
    ]


def _count(name: str, value: int) -> Text:
    style = {"failed": formatting.STATUS_STYLES["FAILED"], "running": formatting.STATUS_STYLES["RUNNING"]}
    return Text(formatting.number(value), style.get(name, "") if value else "")


def _artifacts(progress: dict[str, Any]) -> str:
    units = progress["version"] or progress["node"] or progress["blob"]
    handled = progress["success"] + progress["skip"] + progress["failed"]
    return f"{handled}/{units['total']}" if units else ""


def _reason_column(width: int) -> list[str]:
    return ["Reason"] if width >= WIDE else []


def _reason_cells(row: dict[str, Any], width: int) -> list[Text]:
    return [Text(formatting.plain(row["errorReason"] or ""))] if width >= WIDE else []
