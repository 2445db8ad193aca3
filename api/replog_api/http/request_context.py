"""What is known of one request beside its path and query: its head, read in one pass, and what follows from that."""

from __future__ import annotations

import os
import re
from datetime import UTC
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping
    from datetime import tzinfo

TIME_ZONE_HEADER = "X-BKREPO-TIME-ZONE"

#: Under which name the scope has what ends an answer in its middle, so that the client sees it is incomplete.
BREAK_OFF = "replog.break_off"

_KEY = "replog.visit"
# Version ff is none, and ids of zeros are invalid.
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


class RequestContext:
    """One request. Of headers that are given twice the last counts, but for lists; empty is as absent."""

    __slots__ = (
        "_trace_id",
        "accept_language",
        "authorization",
        "client",
        "host",
        "if_none_match",
        "last_event_id",
        "prefix",
        "store_failed",
        "time_zone",
        "traceparent",
        "waited_s",
        "zone",
    )

    def __init__(self, headers: Iterable[tuple[bytes, bytes]], zone: tzinfo = UTC) -> None:
        self.accept_language = self.authorization = self.time_zone = self.traceparent = ""
        self.host = self.if_none_match = self.last_event_id = ""
        #: Who asks, as far as places and requests are counted: a token, else an address.
        self.client = ""
        #: What the keys of all tasks begin with that the client may read.
        self.prefix = ""
        #: Whether the store did not answer.
        self.store_failed = False
        #: The zone of the times in the answer.
        self.zone = zone
        #: Seconds that passed because the client wanted to wait for changes.
        self.waited_s = 0.0
        self._trace_id = ""
        for name, value in headers:
            if name in _ATTRIBUTES:
                setattr(self, _ATTRIBUTES[name], value.decode("latin-1").strip())
            elif name == b"if-none-match":
                self.if_none_match += f"{',' if self.if_none_match else ''}{value.decode('latin-1').strip()}"

    @property
    def trace_id(self) -> str:
        """The W3C trace id of the request: from ``traceparent``, else made here; the same always."""
        if not self._trace_id:
            self._trace_id = _given_trace(self.traceparent) or new_trace_id()
        return self._trace_id


#: Headers that are read, and where they go.
_ATTRIBUTES = {
    b"accept-language": "accept_language",
    b"authorization": "authorization",
    b"host": "host",
    b"last-event-id": "last_event_id",
    b"traceparent": "traceparent",
    TIME_ZONE_HEADER.lower().encode(): "time_zone",
}


def new_trace_id() -> str:
    """A trace id that nobody had before."""
    return os.urandom(16).hex()


def begin_request(scope: MutableMapping[str, Any], zone: tzinfo) -> RequestContext:
    """The visit of a request that just came in."""
    context = scope[_KEY] = RequestContext(scope["headers"], zone)
    return context


def context_of(scope: MutableMapping[str, Any]) -> RequestContext:
    """The visit of a request."""
    found: RequestContext | None = scope.get(_KEY)
    return found or begin_request(scope, UTC)


def _given_trace(header: str) -> str | None:
    match = _TRACEPARENT.fullmatch(header)
    if match is None:
        return None
    version, trace, more = match.groups()
    # Only versions to come may say more than version 00 does.
    return None if version == "00" and more else trace
