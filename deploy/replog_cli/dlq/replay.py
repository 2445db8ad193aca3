"""``replog dlq replay``: the events of dead letters, checked again and published again."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Annotated

import typer

from replog_cli.collector_settings import collector_settings
from replog_cli.display import console, formatting
from replog_cli.display.letters import checked_json, verdict_text
from replog_cli.display.work_progress import WorkProgress
from replog_cli.dlq.options import MOST_NAMED, ExecuteOption, selecting
from replog_cli.extras import extra
from replog_cli.options import JsonOption, print_json
from replog_repair.dead_letters.checking import Checked, Verdict
from replog_repair.dead_letters.selection import Selection  # noqa: TC001 - the options are read when it is imported

#: Replays of one event, after which another does not help.
DEFAULT_MAX_REPLAYS = 3


@dataclass
class _Outcome:
    """Letters counted by verdict, and the first of those that are left."""

    as_json: bool
    counts: Counter[Verdict] = field(default_factory=Counter)
    left: list[Checked] = field(default_factory=list)

    def add(self, checked: list[Checked]) -> None:
        for one in checked:
            self.counts[one.verdict] += 1
            if self.as_json:
                print_json(checked_json(one))
            elif one.verdict is not Verdict.VALID and len(self.left) < MOST_NAMED:
                self.left.append(one)


@selecting
def replay(
    *,
    selection: Selection,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, max=1_000_000, help="Only so many, the newest.")
    ] = None,
    rate: Annotated[float, typer.Option("--rate", min=0, help="Events a second at most; 0: no limit.")] = 0,
    max_replays: Annotated[
        int, typer.Option("--max-replays", min=1, help="Leave events that were published again so often.")
    ] = DEFAULT_MAX_REPLAYS,
    execute: ExecuteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Publish the events of dead letters again, with their keys and headers, to the topic of events.

    Each is checked first; those that are still invalid are left, with the reason. The letters stay where they are. It
    is safe to run this twice, in parallel, and again after it was stopped: an event that comes twice changes nothing.

    Ends with exit code 1 if letters were left. --json prints a JSON object a line.
    """
    outcome = _Outcome(as_json)
    asyncio.run(_replay(selection, outcome, limit=limit, rate=rate, max_replays=max_replays, execute=execute))
    _print(outcome, execute=execute)
    if outcome.counts.total() > outcome.counts[Verdict.VALID]:
        raise typer.Exit(1)


async def _replay(
    selection: Selection, outcome: _Outcome, *, limit: int | None, rate: float, max_replays: int, execute: bool
) -> None:
    with extra("collector", "dlq replay"):
        # Imported here, because they are of an extra.
        from replog.publisher.kafka import KafkaProducer  # noqa: PLC0415
        from replog_collector.pipeline.clock_limit import AheadLimit  # noqa: PLC0415
        from replog_collector.topics.reader import TopicReader  # noqa: PLC0415
        from replog_repair.dead_letters.checking import Check  # noqa: PLC0415
        from replog_repair.dead_letters.publishing import EventTopic, Pace  # noqa: PLC0415
        from replog_repair.dead_letters.reading import Originals, chosen  # noqa: PLC0415
        from replog_repair.dead_letters.replaying import replayed  # noqa: PLC0415

    settings = collector_settings()
    check = Check(settings.kafka_topic, AheadLimit(settings.max_ahead_s), max_replays=max_replays)
    async with AsyncExitStack() as opened:
        progress = opened.enter_context(WorkProgress(console.messages(), "letters read"))
        reader = await opened.enter_async_context(TopicReader(settings, settings.dead_letter_topic))
        originals = await opened.enter_async_context(Originals(settings))
        events = None
        if execute:
            topic = EventTopic(lambda: KafkaProducer(settings, settings.kafka_topic), Pace(rate))
            events = await opened.enter_async_context(topic)
        letters = chosen(reader, selection, limit=limit, progress=progress.update)
        async for checked in replayed(letters, check, originals, events):
            outcome.add(checked)


_LEFT = {
    Verdict.INVALID: "still invalid",
    Verdict.GONE: "cut, without an original",
    Verdict.EXHAUSTED: "published again too often",
    Verdict.FOREIGN: "not of this topic",
    Verdict.TOO_LARGE: "too large for the topic",
}


def _print(outcome: _Outcome, *, execute: bool) -> None:
    messages = console.messages()
    for one in outcome.left:
        messages.print(formatting.plain(f"{one.letter.place} left: {verdict_text(one)}"), soft_wrap=True)
    left = outcome.counts.total() - outcome.counts[Verdict.VALID]
    if not outcome.as_json and left > len(outcome.left):
        messages.print(f"and {formatting.number(left - len(outcome.left))} more; --json lists all")
    done = "published" if execute else "would be published"
    parts = [f"{formatting.number(outcome.counts[Verdict.VALID])} {done}"]
    parts += [
        f"{formatting.number(outcome.counts[key])} {words}" for key, words in _LEFT.items() if outcome.counts[key]
    ]
    messages.print(f"{formatting.number(outcome.counts.total())} letters: {', '.join(parts)}", soft_wrap=True)
    if not execute:
        messages.print("This was a dry run. Add --execute to publish.")
