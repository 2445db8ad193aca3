"""Server-Sent Events as a client reads them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class SentEvent(NamedTuple):
    """An event with its data as values."""

    kind: str
    id: str
    data: Any


def events_of(text: str) -> list[SentEvent]:
    """The whole events of what came of a stream so far."""
    found = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append(SentEvent(fields["event"], fields["id"], json.loads(fields["data"])))
    return found
