"""``replog history``: the events of a record as the topic has them, and the record as it was at a time."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from replog.errors import RecoverableError
from replog_cli.client.api import Api, record_path
from replog_cli.client.errors import ApiRefused
from replog_cli.collector_settings import collector_settings
from replog_cli.display import console, formatting, tables
from replog_cli.display.history import entry_json, entry_table
from replog_cli.display.work_progress import WorkProgress
from replog_cli.extras import extra
from replog_cli.options import JsonOption, RecordArgument, print_json
from replog_cli.time_options import FORMS, METAVAR, time_option

if TYPE_CHECKING:
    from replog_repair.history.record_history import RecordHistory


def history(
    record: RecordArgument,
    *,
    at: Annotated[
        int | None,
        typer.Option(
            "--at", parser=time_option, metavar=METAVAR, help=f"Show the record as it was answered then, {FORMS}."
        ),
    ] = None,
    all_partitions: Annotated[
        bool, typer.Option("--all-partitions", help="Read the whole topic, not only where the key usually is.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the events of a record as the topic has them, with what each changed; or show the record as it was.

    Where a query service answers at REPLOG_API_URL, the topic is read from about the record's start on, else from its
    beginning. --json prints a JSON object a line; with --at, one document.
    """
    found = asyncio.run(_find(record, at, all_partitions=all_partitions))
    _warn(found)
    if at is not None:
        _print_answers(record, found, at, as_json=as_json)
        return
    if as_json:
        for entry in found.entries:
            print_json(entry_json(entry))
        return
    output = console.output()
    if found.entries:
        output.print(entry_table(found.entries, datetime.now().astimezone(), output.width))
    console.messages().print(f"{formatting.number(len(found.entries))} events", style="dim")


async def _find(record: str, at: int | None, *, all_partitions: bool) -> RecordHistory:
    with extra("collector", "history"):
        # Imported here, because they are of an extra.
        from replog_repair.history.record_history import read  # noqa: PLC0415

    settings = collector_settings()
    start_ms = None if all_partitions else _start_ms(record)
    with WorkProgress(console.messages(), "messages read") as progress:
        return await read(
            settings,
            record,
            start_ms=start_ms,
            until_ms=at,
            all_partitions=all_partitions,
            progress=progress.update,
        )


def _start_ms(record: str) -> int | None:
    """The start of the record, where a query service tells it."""
    try:
        with Api() as api:
            start = api.data(record_path("", record))["record"]["startTime"]
    except (ApiRefused, RecoverableError):
        console.messages().print("No query service tells the record's start: the topic is read from its beginning.")
        return None
    return int(formatting.parse_time(start).timestamp() * 1000)


def _warn(found: RecordHistory) -> None:
    messages = console.messages()
    if found.deleted:
        numbers = ", ".join(map(str, found.deleted))
        messages.print(f"Kafka has deleted the beginning of partition {numbers}: events may be missing.")
    if found.unreadable:
        messages.print(f"{formatting.number(found.unreadable)} messages cannot be read; they may be of this record.")


def _print_answers(record: str, found: RecordHistory, at: int, *, as_json: bool) -> None:
    answers = found.answers
    if answers is None:
        console.messages().print(f"Nothing was known of {formatting.plain(record)} at that time.")
        raise typer.Exit(1)
    if as_json:
        print_json({"at": _utc(at), **answers._asdict()})
        return
    output, then = console.output(), datetime.fromtimestamp(at / 1000).astimezone()
    rows: list[dict[str, Any]] = [] if answers.run is None else [answers.run["record"]]
    output.print(f"As of {then:%Y-%m-%d %H:%M:%S}", style="bold")
    if rows:
        output.print(tables.records(rows, then, output.width))
    if answers.details:
        output.print(tables.details(answers.details, then, output.width))


def _utc(time_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_ms // 1000)) + f".{time_ms % 1000:03d}Z"
