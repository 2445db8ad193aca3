"""``replog ls``: tasks with their latest records, or the records of one task."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from replog_cli.client.api import TASKS, Api, record_path
from replog_cli.completion import task_keys
from replog_cli.display import console, formatting, tables
from replog_cli.options import JsonOption, LimitOption, StatusOption, print_json

DEFAULT_ROWS = 20


def ls(
    key: Annotated[
        str | None,
        typer.Argument(metavar="[KEY]", help="A task's key: list its records.", autocompletion=task_keys),
    ] = None,
    *,
    prefix: Annotated[str, typer.Option("--prefix", help="Only tasks whose key begins with this.")] = "",
    status: StatusOption = None,
    limit: LimitOption = DEFAULT_ROWS,
    as_json: JsonOption = False,
) -> None:
    """List tasks, the last active first, each with its latest record; or the records of one task, newest first."""
    if key is not None and prefix:
        raise typer.BadParameter("--prefix selects tasks and cannot be given with a KEY")
    filters = {"status": str(status)} if status else {}
    with Api() as api:
        if key is None:
            page = api.page(f"{TASKS}/list", {**filters, "prefix": prefix}, limit)
        else:
            page = api.page(record_path("page", key), filters, limit)
    if as_json:
        print_json(page)
        return
    output, now = console.output(), datetime.now().astimezone()
    rows, total, thing = page["records"], page["totalRecords"], "tasks" if key is None else "records"
    if rows:
        table = tables.tasks if key is None else tables.records
        output.print(table(rows, now, output.width))
    if len(rows) < total or not rows:
        console.messages().print(f"{formatting.number(len(rows))} of {formatting.number(total)} {thing}", style="dim")
