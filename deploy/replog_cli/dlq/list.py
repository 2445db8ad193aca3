"""``replog dlq list``: dead letters, the newest first, or how many there are of each kind."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import typer

from replog_cli.collector_settings import collector_settings
from replog_cli.display import console, formatting
from replog_cli.display.letters import group_json, group_table, letter_json, letter_table
from replog_cli.display.work_progress import WorkProgress
from replog_cli.dlq.options import selecting
from replog_cli.extras import extra
from replog_cli.options import JsonOption, LimitOption, print_json
from replog_repair.dead_letters.selection import Newest, Selection
from replog_repair.dead_letters.summary import Summary

DEFAULT_ROWS = 20


@selecting
def list_letters(
    *,
    selection: Selection,
    limit: LimitOption = DEFAULT_ROWS,
    summary: Annotated[bool, typer.Option("--summary", help="Count them by reason and type of event.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, the newest first, with the reason of each.

    Reads the dead-letter topic to its present end, and changes nothing. --json prints a JSON object a line.
    """
    newest, counted = Newest(limit), Summary()
    asyncio.run(_read(selection, counted if summary else newest))
    if summary:
        _print_summary(counted, as_json=as_json)
    else:
        _print(newest, as_json=as_json)


async def _read(selection: Selection, chosen: Newest | Summary) -> None:
    with extra("collector", "dlq list"):
        # Imported here, because they are of an extra.
        from replog_collector.topics.reader import TopicReader  # noqa: PLC0415
        from replog_repair.dead_letters.reading import selected  # noqa: PLC0415

    settings = collector_settings()
    with WorkProgress(console.messages(), "letters read") as progress:
        async with TopicReader(settings, settings.dead_letter_topic) as reader:
            async for letters in selected(reader, selection, progress=progress.update):
                chosen.add(letters)


def _print(newest: Newest, *, as_json: bool) -> None:
    letters = newest.letters
    if as_json:
        for letter in letters:
            print_json(letter_json(letter))
        return
    output = console.output()
    if letters:
        output.print(letter_table(letters, datetime.now().astimezone(), output.width))
    if len(letters) < newest.added or not letters:
        shown, added = formatting.number(len(letters)), formatting.number(newest.added)
        console.messages().print(f"{shown} of {added} letters", style="dim")


def _print_summary(counted: Summary, *, as_json: bool) -> None:
    groups = counted.groups
    total = sum(group.count for group in groups)
    if as_json:
        print_json({"letters": total, "groups": [group_json(group) for group in groups]})
        return
    if groups:
        console.output().print(group_table(groups, datetime.now().astimezone()))
    console.messages().print(f"{formatting.number(total)} letters", style="dim")
