"""The header ``traceparent`` of W3C Trace Context, of HTTP requests and Kafka messages. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

#: Name of the header.
TRACEPARENT = "traceparent"

# Version ff is none, and ids of zeros are invalid.
_PATTERN = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?P<more>-.*)?"
)
_SAMPLED_BIT = 1


class TraceParent(NamedTuple):
    """A span of another process: its ids in hexadecimal digits, and whether it is recorded."""

    trace_id: str
    span_id: str
    sampled: bool

    def __str__(self) -> str:
        """The header's value."""
        return f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}"


def parse(header: str) -> TraceParent | None:
    """The span that ``header`` names; None where it names none."""
    match = _PATTERN.fullmatch(header)
    # Only versions to come may say more than version 00 does.
    if match is None or (match["version"] == "00" and match["more"]):
        return None
    _, trace_id, span_id, flags, _ = match.groups()
    return TraceParent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED_BIT))
