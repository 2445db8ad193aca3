"""``replog dlq purge``: the oldest dead letters deleted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from replog_cli.collector_settings import collector_settings
from replog_cli.display import console, formatting
from replog_cli.display.work_progress import WorkProgress
from replog_cli.dlq.options import ExecuteOption, place_option
from replog_cli.extras import extra
from replog_cli.options import JsonOption, print_json
from replog_repair.dead_letters.letter import Place  # noqa: TC001 - typer reads the annotations
from replog_repair.dead_letters.purging import to_delete
from replog_repair.dead_letters.summary import Summary

if TYPE_CHECKING:
    from replog.store.write.offsets import Span


@dataclass
class _Purge:
    """By partition, the offsets to delete; the letters among them; and, once it is done, the first offsets left."""

    topic: str
    spans: dict[int, Span]
    letters: dict[int, Summary]
    left: dict[int, int] | None = None


def purge(
    *,
    before: Annotated[
        list[Place],
        typer.Option(
            "--before",
            metavar="P:O",
            parser=place_option,
            help="Delete what is before this offset of this partition; may be given for several partitions.",
        ),
    ],
    execute: ExecuteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete the oldest dead letters for good: in each partition that is named, all before an offset.

    Kafka can delete from the beginning of a partition only. The user needs DELETE on the dead-letter topic.
    """
    found = asyncio.run(_purge(before, execute=execute))
    if as_json:
        print_json({"topic": found.topic, "executed": execute, "partitions": _json(found)})
        return
    console.output().print(_table(found))
    if not execute:
        console.messages().print("This was a dry run. Add --execute to delete.")


async def _purge(before: list[Place], *, execute: bool) -> _Purge:
    with extra("collector", "dlq purge"):
        # Imported here, because they are of an extra.
        from replog_collector.topics.deletion import delete_before  # noqa: PLC0415
        from replog_collector.topics.reader import TopicReader  # noqa: PLC0415
        from replog_repair.dead_letters.reading import of_spans  # noqa: PLC0415

    settings = collector_settings()
    topic = settings.dead_letter_topic
    with WorkProgress(console.messages(), "letters read") as progress:
        async with TopicReader(settings, topic) as reader:
            spans = to_delete(topic, await reader.available(), before)
            found = _Purge(topic, spans, {number: Summary() for number in spans})
            async for letters in of_spans(reader, spans, progress=progress.update):
                for letter in letters:
                    found.letters[letter.place.partition].add([letter])
    if execute:
        found.left = await delete_before(settings, topic, {number: span.end for number, span in spans.items()})
    return found


def _table(found: _Purge) -> Table:
    done = "Deleted" if found.left is not None else "To delete"
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Partition", justify="right")
    for name in (done, "Letters", "Reasons", "First left"):
        table.add_column(name, justify="right" if name == "Letters" else "left", overflow="fold")
    for number, span in sorted(found.spans.items()):
        groups = found.letters[number].groups
        reasons = ", ".join(f"{group.reason} {group.type or ''}".strip() for group in groups)
        first = span.end if found.left is None else found.left[number]
        offsets = f"{span.begin} to {span.end - 1}" if span.end > span.begin else "nothing"
        count = formatting.number(sum(group.count for group in groups))
        table.add_row(str(number), offsets, count, formatting.plain(reasons), f"{number}:{first}")
    return table


def _json(found: _Purge) -> list[dict[str, Any]]:
    return [
        {
            "partition": number,
            "begin": span.begin,
            "end": span.end,
            "reasons": [
                {"reason": group.reason, "type": group.type, "letters": group.count}
                for group in found.letters[number].groups
            ],
            "firstLeft": None if found.left is None else found.left[number],
        }
        for number, span in sorted(found.spans.items())
    ]
