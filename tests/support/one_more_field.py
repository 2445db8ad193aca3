"""The contract with one more fact, ``mimeType``: what a later version would have, by a table of its own."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from replog.events import DetailStarted
from replog.fields import DETAIL, RECORD, Field, Meaning
from replog.records import FactsFormat, facts_of
from replog.times import TimeUs

if TYPE_CHECKING:
    import random

    from replog.records import Registers

MIME_TYPE = Field("mime_type", "mimeType", "mimeType", Meaning("media type", "媒体类型"), code="n", since=2)
ROWS = (*RECORD, *DETAIL, MIME_TYPE)
FORMAT = FactsFormat(ROWS)
_ATTRIBUTES = {row.wire: row.name for row in ROWS if row.code}


class StartedWithMimeType(
    DetailStarted, frozen=True, kw_only=True, tag="detail.started", rename={"mime_type": "mimeType"}
):
    """What a worker publishes under that contract."""

    mime_type: str | None = None


def event_of(content: dict[str, Any]) -> StartedWithMimeType:
    """An event with these facts, by wire name; all are of one time, so that facts decide."""
    known = {_ATTRIBUTES[name]: value for name, value in content.items()}
    return StartedWithMimeType(record_id="r", detail_id="d", event_us=TimeUs(0), **known)


def relettered(chance: random.Random) -> FactsFormat:
    """The format with other codes."""
    codes = iter(chance.sample(string.ascii_letters, len(ROWS)))
    return FactsFormat(replace(row, code=next(codes)) if row.code else row for row in ROWS)


def canonical(content: dict[str, Any]) -> bytes:
    """The canonical JSON of facts."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def content_of(registers: Registers, facts: FactsFormat) -> dict[str, Any]:
    """The facts in a register, by wire name."""
    names = {code: facts.names[name] for name, code in facts.codes.items()}
    return {names[code]: value for code, value in facts_of(registers.facts).items()}
