"""Fields of a message that may be no valid event, as far as it has them. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec


class MessageFields(NamedTuple):
    """Fields of a message's value, each None where the value has no text there, or is no JSON object.

    ``attempt`` is 0 where the value has no number there.
    """

    type: str | None = None
    task_key: str | None = None
    record_id: str | None = None
    detail_id: str | None = None
    attempt: float = 0


_NAMES = ("type", "taskKey", "recordId", "detailId")
#: A member of an object whose value is a text, where the rest is no JSON: it was cut, or it never was.
_MEMBER = re.compile(rb'"(type|taskKey|recordId|detailId)"\s*:\s*("(?:[^"\\]|\\.)*")')


def fields_of(value: bytes | None) -> MessageFields:
    """The fields of ``value``. Of a value that is no whole JSON, the first of each name counts."""
    if not value:
        return MessageFields()
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = _members(value)
    if not isinstance(found, dict):
        return MessageFields()
    event_type, task_key, record_id, detail_id = (_text(found.get(name)) for name in _NAMES)
    return MessageFields(event_type, task_key, record_id, detail_id, _number(found.get("attempt")))


def belongs_to(key: bytes | None, fields: MessageFields, record_id: str) -> bool:
    """Whether a message is about a record: its value says so or, where that names none, its key does."""
    if fields.record_id is not None:
        return fields.record_id == record_id
    return key == record_id.encode("utf-8", "replace")


def _members(value: bytes) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, text in _MEMBER.findall(value):
        try:
            found.setdefault(name.decode(), msgspec.json.decode(text))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return found


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
