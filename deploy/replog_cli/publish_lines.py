"""``replog publish``: events from lines of JSON, all checked before the first is published."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replog.errors import InvalidEventError
from replog.events import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replog import Publisher
    from replog.events import Event


@dataclass
class Batch:
    """Events and errors found in the lines."""

    events: list[Event] = field(default_factory=list)
    #: Error texts by line number, counted from 1.
    invalid: dict[int, str] = field(default_factory=dict)


def read(lines: Iterable[bytes]) -> Batch:
    """Parse each line; blank lines are skipped and counted as lines."""
    batch = Batch()
    for number, line in enumerate(lines, start=1):
        if not (value := line.strip()):
            continue
        try:
            batch.events.append(parse(value))
        except InvalidEventError as error:
            batch.invalid[number] = str(error)
    return batch


async def publish(events: Iterable[Event], publisher: Publisher) -> None:
    """Publish ``events`` and wait until all of them are acknowledged.

    Raises:
        BrokerUnavailable: some were not acknowledged; the text names them.
    """
    async with publisher:
        for event in events:
            await publisher.publish(event)
