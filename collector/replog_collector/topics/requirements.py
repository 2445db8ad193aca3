"""Requirements on the settings of the topics; docs/operations.md says how to create them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.events import MAX_REASON_CHARACTERS, MAX_VALUE_BYTES

if TYPE_CHECKING:
    from replog_collector.topics.descriptions import TopicSettings

#: Room for a key and the Kafka batch around a message, and as much again for the headers of a dead letter.
ENVELOPE_BYTES = 64 * 1024
#: Bytes of the largest Kafka batch that one valid event makes.
EVENT_BYTES = MAX_VALUE_BYTES + ENVELOPE_BYTES
#: Bytes of the smallest dead letter: its headers name both topics, with up to 249 characters each.
LEAST_LETTER_BYTES = 2048
#: Bytes of the largest outcome: its reason, each character of which may be escaped as ``\\u0000``, and room for keys,
#: headers and all else. And of one without a reason, whose keys are of a usual length.
OUTCOME_BYTES = 6 * MAX_REASON_CHARACTERS + 16 * 1024
LEAST_OUTCOME_BYTES = 2048


def too_small_for_events(events: TopicSettings) -> bool:
    """Whether the broker refuses valid events because of their size."""
    return events.max_message_bytes is not None and events.max_message_bytes < EVENT_BYTES


def letter_bytes(events: TopicSettings) -> int:
    """Bytes of the largest dead letter: the largest message of the event topic, with headers beside its own."""
    return max(EVENT_BYTES, events.max_message_bytes or 0) + ENVELOPE_BYTES


def too_small_for_letters(letters: TopicSettings, events: TopicSettings) -> bool:
    """Whether dead letters are cut because of their size."""
    return letters.max_message_bytes is not None and letters.max_message_bytes < letter_bytes(events)


def too_small_for_outcomes(outcomes: TopicSettings) -> bool:
    """Whether the broker refuses outcomes because of their size."""
    return outcomes.max_message_bytes is not None and outcomes.max_message_bytes < OUTCOME_BYTES
