"""``replog export``: the details of a record as CSV or NDJSON."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from replog_cli.client.api import Api, record_path
from replog_cli.client.export_file import ExportFormat, receive, whole_file
from replog_cli.display import console, formatting
from replog_cli.options import (
    ArtifactOption,
    ClusterOption,
    FailedOption,
    PackageOption,
    PathOption,
    RecordArgument,
    RepositoryOption,
    StatusOption,
    VersionOption,
    detail_filters,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from rich.console import Console


def export(
    record: RecordArgument,
    *,
    export_format: Annotated[ExportFormat, typer.Option("--format", help="The form of the file.")] = "csv",
    output: Annotated[
        str, typer.Option("--output", metavar="FILE|-", help="Where it goes: a file, or - for stdout.")
    ] = "-",
    failed: FailedOption = False,
    status: StatusOption = None,
    cluster: ClusterOption = "",
    repository: RepositoryOption = "",
    package: PackageOption = "",
    path: PathOption = "",
    artifact: ArtifactOption = "",
    version: VersionOption = "",
) -> None:
    """Export the details of a record that match, newest first, as CSV or as a JSON object a line.

    A file gets its name only when the export is whole. Times are in UTC.
    """
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
    messages = console.messages()
    with Api() as api:
        # An unknown record is an error here, although its export would be an empty file.
        api.data(record_path("", record))
        rows = api.page(record_path("detail/page", record), filters, 1)["totalRecords"]
        with _opened(output) as file, _progress(messages, shown=output != "-") as progress:
            task = progress.add_task("details", total=rows)
            receive(
                api, record, export_format, filters, output=file, received=lambda more: progress.advance(task, more)
            )
    if output != "-":
        exported = formatting.size(Path(output).stat().st_size)
        messages.print(f"{formatting.number(rows)} details exported to {output} ({exported})", soft_wrap=True)


def _opened(output: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdout.buffer) if output == "-" else whole_file(Path(output))


def _progress(messages: Console, *, shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=messages, transient=True, disable=not (shown and messages.is_terminal))
