"""Dead letters published again.

Nothing is committed and no letter is changed. An event that arrives again changes nothing in the store. So a replay may
be run twice, in parallel, and after it was killed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from replog_repair.dead_letters.checking import Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from replog.letters import Origin
    from replog_collector.kafka.source import Message
    from replog_repair.dead_letters.checking import Check, Checked
    from replog_repair.dead_letters.letter import DeadLetter


class Originals(Protocol):
    """Port to the topic of events: :class:`replog_repair.dead_letters.reading.Originals`."""

    async def fetch(self, origin: Origin) -> Message | None:
        """The message at ``origin``; None where there is none any more. Raises BrokerUnavailable."""


class Events(Protocol):
    """Port to the topic of events: :class:`replog_repair.dead_letters.publishing.EventTopic`."""

    async def publish(self, events: Sequence[Checked]) -> list[Checked]:
        """Publish; returns those that the topic refuses for their size. Raises BrokerUnavailable."""


async def replayed(
    letters: AsyncIterator[list[DeadLetter]], check: Check, originals: Originals, events: Events | None
) -> AsyncIterator[list[Checked]]:
    """Check ``letters`` and publish the valid ones to ``events``; yield each with its verdict, once it is published.

    Without ``events`` it is a dry run: letters are checked, and nothing is published.

    Raises:
        BrokerUnavailable: the broker does not answer. What was yielded is published.
    """
    async for some in letters:
        checked = [await check_letter(letter, check, originals) for letter in some]
        if events is None:
            yield checked
            continue
        refused = {
            one.letter.place for one in await events.publish([one for one in checked if one.verdict is Verdict.VALID])
        }
        yield [_too_large(one) if one.letter.place in refused else one for one in checked]


async def check_letter(letter: DeadLetter, check: Check, originals: Originals) -> Checked:
    """The verdict on ``letter``; the original of one that was cut is fetched. Raises BrokerUnavailable."""
    if (verdict := check.before_fetching(letter)) is not None:
        return verdict
    if letter.cut and letter.origin is not None:
        return check.fetched(letter, await originals.fetch(letter.origin))
    return check.whole(letter)


def _too_large(checked: Checked) -> Checked:
    return replace(checked, verdict=Verdict.TOO_LARGE, error="the topic of events takes no message of its size")
