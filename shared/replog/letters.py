"""Dead letters (docs/events.md): the original message, followed by headers of the letter's own. Pure.

If the dead-letter topic refuses a letter because of its size, the letter is cut: value, key and headers are limited to
fewer and fewer bytes (:data:`LIMITS`), down to a letter that has only its own headers.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: First part of the names of a letter's own headers.
PREFIX = "replog."
#: Headers that say what is wrong with the event, and where it was read.
ERROR, TOPIC, PARTITION, OFFSET = "replog.error", "replog.topic", "replog.partition", "replog.offset"
#: Headers with the reason in one word, the time of the letter (RFC 3339) and the version of the collector.
REASON, DEAD_AT, VERSION = "replog.reason", "replog.dead_at", "replog.version"
#: Header of an event that was published again from a letter: how often, as decimal digits.
REPLAYS = "replog.replays"
#: Header of a letter that was cut: a JSON object that gives, for each of ``value``, ``key`` and ``headers`` that was
#: cut, the original size and the size kept, in bytes.
CUT = "replog.cut"
#: Header with the size of the whole value in bytes, if the value was cut.
VALUE_BYTES = "replog.value_bytes"

#: Bytes kept of a value, a key, and all headers together, if one of them is larger.
KEPT_BYTES = 512 * 1024
#: Limits that are tried one after another, down to zero.
LIMITS = (*(KEPT_BYTES >> halvings for halvings in range(13)), 0)
#: Maximum bytes of the error text; the second is for a letter whose other parts are cut to nothing.
ERROR_BYTES, LEAST_ERROR_BYTES = 2048, 64
#: Bytes of a header beside its name and value: one for the length of each.
_HEADER_BYTES = 2

Headers = tuple[tuple[str, bytes | None], ...]


class Origin(NamedTuple):
    """The place in Kafka where a message was read."""

    topic: str
    partition: int
    offset: int


class Cause(NamedTuple):
    """The cause of a letter: a fixed word, a text, the RFC 3339 time, and the version of the collector."""

    reason: str
    error: str
    dead_at: str
    version: str


class Letter(NamedTuple):
    """A message for the dead-letter topic."""

    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def size(self) -> int:
        """Size in bytes: key, value, and headers with the lengths of their names and values."""
        return len(self.key or b"") + len(self.value or b"") + sum(map(_header_size, self.headers))


class Original:
    """A message that becomes a dead letter because of ``cause``."""

    def __init__(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
        *,
        cause: Cause,
        origin: Origin,
    ) -> None:
        self._key = key
        # Kafka clients accept no message that has neither key nor value.
        self._value = b"" if key is None and value is None else value
        self._headers: Headers = tuple((_encodable(name), content) for name, content in headers)
        self._cause = cause
        self._origin = origin

    @cached_property
    def whole(self) -> Letter:
        """The letter with the whole message."""
        return Letter(self._key, self._value, (*self._headers, *self._own_headers(ERROR_BYTES)))

    def cut(self, limit: int) -> Letter:
        """The letter with at most ``limit`` bytes each of the value, the key, and the headers together.

        The first bytes of value and key are kept. Headers are removed as a whole, the largest first.
        """
        kept = frozenset(self._smallest_headers(limit))
        headers = tuple(header for number, header in enumerate(self._headers) if number in kept)
        key, value = (part and part[:limit] for part in (self._key, self._value))
        parts = {
            "value": (len(self._value or b""), len(value or b"")),
            "key": (len(self._key or b""), len(key or b"")),
            "headers": (sum(self._sizes), sum(self._sizes[number] for number in kept)),
        }
        own = self._own_headers(min(ERROR_BYTES, max(limit, LEAST_ERROR_BYTES)))
        return Letter(key, value, (*headers, *own, *_cut_headers(parts)))

    @cached_property
    def _sizes(self) -> list[int]:
        return [_header_size(header) for header in self._headers]

    @cached_property
    def _by_size(self) -> list[int]:
        return sorted(range(len(self._sizes)), key=self._sizes.__getitem__)

    def _smallest_headers(self, limit: int) -> list[int]:
        """Positions of the smallest headers that fit into ``limit`` bytes together."""
        total = 0
        for count, number in enumerate(self._by_size):
            total += self._sizes[number]
            if total > limit:
                return self._by_size[:count]
        return self._by_size

    def _own_headers(self, error_bytes: int) -> Headers:
        return (
            (REASON, self._cause.reason.encode()),
            (ERROR, _first_bytes(self._cause.error, error_bytes)),
            (TOPIC, self._origin.topic.encode()),
            (PARTITION, b"%d" % self._origin.partition),
            (OFFSET, b"%d" % self._origin.offset),
            (DEAD_AT, self._cause.dead_at.encode()),
            (VERSION, self._cause.version.encode()),
        )


def _cut_headers(parts: Mapping[str, tuple[int, int]]) -> Headers:
    cut = {name: {"bytes": whole, "kept": kept} for name, (whole, kept) in parts.items() if kept < whole}
    found: list[tuple[str, bytes | None]] = []
    if "value" in cut:
        found.append((VALUE_BYTES, b"%d" % cut["value"]["bytes"]))
    if cut:
        found.append((CUT, json.dumps(cut, separators=(",", ":")).encode()))
    return tuple(found)


def _header_size(header: tuple[str, bytes | None]) -> int:
    name, content = header
    return len(name.encode()) + len(content or b"") + _HEADER_BYTES


def _encodable(name: str) -> str:
    # A name that was not UTF-8 may contain lone surrogates, which no client can send.
    return name.encode("utf-8", "replace").decode()


def _first_bytes(text: str, limit: int) -> bytes:
    """``text`` in UTF-8, cut between two characters to at most ``limit`` bytes."""
    encoded = text.encode("utf-8", "replace")
    return encoded if len(encoded) <= limit else encoded[:limit].decode("utf-8", "ignore").encode()
