"""Dead letters as they are read from the dead-letter topic. Pure."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from replog import letters
from replog.letters import Origin
from replog.times import format_time_us, parse_time_us
from replog_collector.kafka.source import Unreadable
from replog_repair.message_fields import MessageFields, fields_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replog.letters import Headers
    from replog_collector.kafka.source import Message

#: The reason of a letter that says none: it was published by an earlier version, or by another program.
UNKNOWN = "unknown"
#: The last millisecond that has an RFC 3339 time.
_LAST_MS = parse_time_us("9999-12-31T23:59:59.999Z") // 1000


class Place(NamedTuple):
    """A place in the dead-letter topic, which operators write as ``P:O``."""

    partition: int
    offset: int

    def __str__(self) -> str:
        """The place as operators write it."""
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True)
class DeadLetter:
    """One message of the dead-letter topic, without its own headers.

    ``time_ms`` is when it became a dead letter: as it says itself, else as Kafka says. ``origin`` is None where it
    does not say one: it is no letter of a collector. ``cut`` tells what of the original is missing.
    """

    place: Place
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: str
    error: str
    origin: Origin | None
    version: str | None
    replays: int
    cut: Mapping[str, Any]

    @cached_property
    def fields(self) -> MessageFields:
        """Fields of the original, as far as its value has them."""
        return fields_of(self.value)

    @property
    def time(self) -> str:
        """``time_ms`` as an RFC 3339 time."""
        return format_time_us(self.time_ms * 1000)


def letter_of(message: Message | Unreadable) -> DeadLetter:
    """The letter in a message of the dead-letter topic; also where that message itself cannot be read."""
    # A header of the original may have the same name. The letter's own stand behind those.
    own = {name: content or b"" for name, content in message.headers if name.startswith(letters.PREFIX)}
    headers = tuple((name, content) for name, content in message.headers if not name.startswith(letters.PREFIX))
    error = _text(own.get(letters.ERROR)) or ""
    if isinstance(message, Unreadable):
        error = f"the letter itself cannot be read: {message.error}"
    return DeadLetter(
        Place(message.partition, message.offset),
        _time_ms(own.get(letters.DEAD_AT), message.timestamp),
        message.key,
        message.value,
        headers,
        _text(own.get(letters.REASON)) or UNKNOWN,
        error,
        None if isinstance(message, Unreadable) else _origin(own),
        _text(own.get(letters.VERSION)),
        _number(own.get(letters.REPLAYS)) or 0,
        _cut(own),
    )


def _origin(own: Mapping[str, bytes]) -> Origin | None:
    topic = _text(own.get(letters.TOPIC))
    partition, offset = _number(own.get(letters.PARTITION)), _number(own.get(letters.OFFSET))
    if not topic or partition is None or offset is None:
        return None
    return Origin(topic, partition, offset)


def _cut(own: Mapping[str, bytes]) -> Mapping[str, Any]:
    with suppress(ValueError):
        cut = json.loads(own.get(letters.CUT, b"{}"))
        if isinstance(cut, dict):
            return cut
    # It says that it was cut, and not legibly what.
    return {"value": None}


def _time_ms(dead_at: bytes | None, timestamp_ms: int) -> int:
    with suppress(ValueError):
        return parse_time_us(_text(dead_at)) // 1000
    # A producer may set any timestamp.
    return min(max(0, timestamp_ms), _LAST_MS)


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode("utf-8", "replace")


def _number(digits: bytes | None) -> int | None:
    return int(digits) if digits is not None and digits.isdigit() else None
