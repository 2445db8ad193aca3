"""``replog forget``: records erased, by an event in the topic."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from replog import Publisher
from replog.errors import FatalError
from replog.settings import StoreSettings, load
from replog.times import TimeUs, format_time_us
from replog_cli.completion import task_keys
from replog_cli.display import console, formatting
from replog_cli.display.work_progress import WorkProgress
from replog_cli.extras import extra
from replog_cli.options import JsonOption, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replog_repair.forgetting import Candidate

#: Seconds that Redis may take to answer.
STORE_TIMEOUT_S = 10.0
#: Records that the table shows.
SHOWN = 20


def forget(
    *,
    record: Annotated[str, typer.Option("--record", metavar="ID", help="Forget this record.")] = "",
    task: Annotated[
        str,
        typer.Option(
            "--task",
            metavar="KEY",
            help="Forget all records that are listed under this task.",
            autocompletion=task_keys,
        ),
    ] = "",
    execute: Annotated[
        bool, typer.Option("--execute", help="Publish the erasures. Without it, only list what they would take.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Return once the store has forgotten; or once Kafka has it.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Forget records, with their details and all that is known of them up to now.

    An event in the topic says so, and replays of the topic and rebuilt stores follow it, too. What workers report later
    makes a record anew. Reads Redis at REPLOG_REDIS_URL, and publishes to REPLOG_KAFKA_BOOTSTRAP_SERVERS.
    """
    if bool(record) == bool(task):
        raise typer.BadParameter("give either --record ID or --task KEY")
    candidates, erased_us = asyncio.run(_forget(record, task, execute=execute, wait=wait))
    if as_json:
        print_json({"executed": execute, "waited": execute and wait, "records": _json(candidates, erased_us)})
    else:
        _print(candidates, execute=execute, wait=wait)


async def _forget(record: str, task: str, *, execute: bool, wait: bool) -> tuple[list[Candidate], dict[str, int]]:
    with extra("collector", "forget"):
        # Imported here, because they are of an extra.
        from replog.store.client.connection import Connection  # noqa: PLC0415
        from replog.store.client.rights import QUERY_SERVICE  # noqa: PLC0415
        from replog_repair import forgetting  # noqa: PLC0415
    async with Connection(load(StoreSettings), timeout_s=STORE_TIMEOUT_S, rights=QUERY_SERVICE) as connection:
        await connection.check_compatible()
        store = forgetting.StoredRecords(connection)
        candidates = await (
            forgetting.candidate_of(store, record) if record else forgetting.candidates_of_task(store, task)
        )
        if not candidates:
            raise FatalError(f"the store knows no record {record}" if record else f"no record of task {task} is known")
        if not execute:
            return candidates, {}
        with WorkProgress(console.messages(), "records") as progress:
            progress.begin("Publishing erasures")
            async with Publisher() as publisher:
                erased_us = await forgetting.publish(publisher, candidates, progress.update)
            if wait:
                progress.begin("Waiting until the store has forgotten")
                await forgetting.wait(store, erased_us, progress.update)
        return candidates, erased_us


def _print(candidates: Sequence[Candidate], *, execute: bool, wait: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Record", "Task", "Status", "Details"):
        table.add_column(name, justify="right" if name == "Details" else "left", overflow="fold")
    for candidate in candidates[:SHOWN]:
        status = candidate.status or "unknown"
        table.add_row(
            Text(formatting.plain(candidate.record_id)),
            Text(formatting.plain(candidate.task_key or "")),
            Text(status, formatting.STATUS_STYLES.get(status, "")),
            Text(formatting.number(candidate.details)),
        )
    console.output().print(table)
    messages, details = console.messages(), sum(candidate.details for candidate in candidates)
    if len(candidates) > SHOWN:
        messages.print(f"and {formatting.number(len(candidates) - SHOWN)} more", style="dim")
    what = f"{formatting.number(len(candidates))} records with {formatting.number(details)} details"
    if not execute:
        messages.print(f"{what} would be forgotten. This was a dry run. Add --execute to forget them.")
    else:
        messages.print(f"{what} {'are forgotten' if wait else 'are to be forgotten: their erasures are in the topic'}.")


def _json(candidates: Sequence[Candidate], erased_us: Mapping[str, int]) -> list[dict[str, object]]:
    return [
        {
            "recordId": candidate.record_id,
            "taskKey": candidate.task_key,
            "status": candidate.status,
            "details": candidate.details,
            "erasedUntil": _time(erased_us.get(candidate.record_id)),
        }
        for candidate in candidates
    ]


def _time(erased_us: int | None) -> str | None:
    return None if erased_us is None else format_time_us(TimeUs(erased_us))
