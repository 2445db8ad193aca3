"""The first step of a batch: messages become folded events, and invalid ones dead letters. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replog.errors import UNREADABLE, InvalidEventError
from replog.events import parse
from replog.store.write.batch import Batch
from replog_collector.kafka.dead_letters import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replog_collector.kafka.source import Message, Polled, PolledSpan, Unreadable
    from replog_collector.pipeline.clock_limit import AheadLimit


@dataclass(slots=True)
class Decoded:
    """The messages of one poll: as they came, their events folded into ``batch``, and those that are no valid event."""

    messages: Sequence[Message]
    #: By partition, the range of offsets whose messages these are, unreadable ones included.
    spans: Mapping[int, PolledSpan]
    batch: Batch = field(default_factory=Batch)
    letters: list[DeadLetter] = field(default_factory=list)
    tombstones: int = 0
    #: The number of letters of unreadable messages, which are none of ``messages``.
    unreadable: int = 0
    began_s: float = field(default_factory=time.perf_counter)

    @property
    def events(self) -> int:
        """The number of events, invalid ones included."""
        return len(self.messages) - self.tombstones + self.unreadable


def decode(polled: Polled, ahead: AheadLimit) -> Decoded:
    """Fold the events of ``polled``; one dated too far ahead is invalid."""
    decoded = Decoded(polled.messages, polled.spans)
    batch = decoded.batch
    latest_us = ahead.latest_us()
    for message in polled.messages:
        value = message.value
        if value is None:
            decoded.tombstones += 1
            continue
        try:
            event = parse(value)
            if event.event_us > latest_us:
                raise ahead.refusal(event, latest_us)
            batch.add(event, value)
        except InvalidEventError as error:
            decoded.letters.append(DeadLetter(message, error.reason, str(error)))
    decoded.letters += [_letter(unreadable) for unreadable in polled.unreadable]
    decoded.unreadable = len(polled.unreadable)
    return decoded


def _letter(unreadable: Unreadable) -> DeadLetter:
    first, last = unreadable.offset, unreadable.last
    of_several = f"offsets {first} to {last}: " if last > first else ""
    return DeadLetter(unreadable, UNREADABLE, f"{of_several}{unreadable.error}")
