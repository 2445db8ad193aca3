"""``replog dlq show``: one dead letter, with whether its event is valid now."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from replog_cli.collector_settings import collector_settings
from replog_cli.display import console
from replog_cli.display.letters import letter_text, whole_letter_json
from replog_cli.dlq.options import place_option
from replog_cli.extras import extra
from replog_cli.options import JsonOption, print_json
from replog_repair.dead_letters.letter import Place  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from replog_repair.dead_letters.checking import Checked


def show_letter(
    place: Annotated[
        Place, typer.Argument(metavar="P:O", parser=place_option, help="Its partition and offset, as listed.")
    ],
    *,
    raw: Annotated[bool, typer.Option("--raw", help="Print the value alone, byte by byte as it is.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a dead letter: why and when it died, its event, and whether that is valid now.

    Of a letter that was cut, the original is fetched from the topic of events for that.
    """
    checked = asyncio.run(_checked(place))
    if raw:
        sys.stdout.buffer.write(checked.letter.value or b"")
        sys.stdout.buffer.flush()
    elif as_json:
        print_json(whole_letter_json(checked.letter, checked))
    else:
        console.output().print(letter_text(checked.letter, checked, datetime.now().astimezone()))


async def _checked(place: Place) -> Checked:
    with extra("collector", "dlq show"):
        # Imported here, because they are of an extra.
        from replog_collector.pipeline.clock_limit import AheadLimit  # noqa: PLC0415
        from replog_collector.topics.reader import TopicReader  # noqa: PLC0415
        from replog_repair.dead_letters.checking import Check  # noqa: PLC0415
        from replog_repair.dead_letters.reading import Originals, letter_at  # noqa: PLC0415
        from replog_repair.dead_letters.replaying import check_letter  # noqa: PLC0415

    settings = collector_settings()
    async with TopicReader(settings, settings.dead_letter_topic) as reader:
        letter = await letter_at(reader, settings.dead_letter_topic, place)
    check = Check(settings.kafka_topic, AheadLimit(settings.max_ahead_s), max_replays=None)
    async with Originals(settings) as originals:
        return await check_letter(letter, check, originals)
