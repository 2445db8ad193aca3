"""``replog show``: a record, what it waits for, its clusters, why details failed, and the details themselves."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.text import Text

from replog_cli.client.api import Api, record_path
from replog_cli.display import console, formatting, silence, tables
from replog_cli.display.record_progress import RecordProgress
from replog_cli.options import (
    ArtifactOption,
    ClusterOption,
    FailedOption,
    JsonOption,
    LimitOption,
    PackageOption,
    PathOption,
    RecordArgument,
    RepositoryOption,
    StatusOption,
    VersionOption,
    detail_filters,
    print_json,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

DEFAULT_ROWS = 20


def show(
    record: RecordArgument,
    *,
    failed: FailedOption = False,
    status: StatusOption = None,
    cluster: ClusterOption = "",
    repository: RepositoryOption = "",
    package: PackageOption = "",
    path: PathOption = "",
    artifact: ArtifactOption = "",
    version: VersionOption = "",
    limit: LimitOption = DEFAULT_ROWS,
    as_json: JsonOption = False,
) -> None:
    """Show a record: its state, what it waits for, its clusters, reasons of failures, and the details that match."""
    filters = detail_filters(
        status=status,
        failed=failed,
        cluster=cluster,
        repository=repository,
        package=package,
        path=path,
        artifact=artifact,
        version=version,
    )
    with Api() as api:
        found = _read(api, record, filters, limit)
    if as_json:
        print_json(found)
    else:
        _print(console.output(), found, datetime.now().astimezone())


def _read(api: Api, record_id: str, filters: dict[str, str], limit: int) -> dict[str, Any]:
    run = api.data(record_path("", record_id))
    is_running = run["record"]["status"] == "RUNNING"
    return {
        **run,
        "counts": api.data(record_path("detail/counts", record_id)),
        "reasons": api.data(record_path("detail/reasons", record_id)),
        "silent": api.data(record_path("detail/silent", record_id)) if is_running else None,
        "details": api.page(record_path("detail/page", record_id), filters, limit),
    }


def _print(output: Console, found: dict[str, Any], now: datetime) -> None:
    record, reasons, page = found["record"], found["reasons"], found["details"]
    progress = RecordProgress({"record": record, "overview": record["replicaOverview"]}, now)
    output.print(progress.view(now, output.width))
    output.print(Text(f"{found['replicaType']} replication of {found['replicaObjectType']}", "dim"))
    if silent := found["silent"]:
        output.print(silence.summary(silent, now))
        if silent["details"]:
            newest = f", of the newest {formatting.number(silent['examined'])}" if _hides(silent, "running") else ""
            _section(output, f"Longest silent{newest}", tables.silent(silent["details"], now, output.width))
    if found["counts"]:
        _section(output, "Details by cluster", tables.clusters(found["counts"]))
    if reasons["reasons"]:
        newest = f", of the newest {formatting.number(reasons['examined'])}" if _hides(reasons, "failed") else ""
        _section(output, f"Failures by reason{newest}", tables.reasons(reasons["reasons"], output.width))
    if page["records"]:
        shown, total = formatting.number(len(page["records"])), formatting.number(page["totalRecords"])
        _section(output, f"Details: {shown} of {total}", tables.details(page["records"], now, output.width))
    else:
        output.print("\nNo detail matches.")


def _hides(summary: dict[str, Any], number: str) -> bool:
    """Whether not all details of a summary were examined."""
    return bool(summary["examined"] < summary[number])


def _section(output: Console, title: str, table: RenderableType) -> None:
    output.print(Text(f"\n{title}", "bold"))
    output.print(table)
