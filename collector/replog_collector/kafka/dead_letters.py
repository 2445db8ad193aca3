"""The port for dead letters: messages of no use to the store, as they came, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog_collector.kafka.source import Message


class DeadLetter(NamedTuple):
    """A message that is no valid event, or that the store refuses. ``reason`` is a fixed word."""

    message: Message
    reason: str
    error: str


class DeadLetters(Protocol):
    """The destination of dead letters: :class:`replog_collector.kafka.produce.dead_letter_topic.DeadLetterTopic`."""

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Return once all ``letters`` are acknowledged. Raises BrokerUnavailable: send them all again."""
