"""The context of one request: its headers, read in one pass, and what follows from them."""

from __future__ import annotations

import os
from datetime import UTC
from typing import TYPE_CHECKING, Any

from replog.tracing.traceparent import TRACEPARENT, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping
    from datetime import tzinfo

TIME_ZONE_HEADER = "X-BKREPO-TIME-ZONE"

#: Key in the scope of what ends an answer in its middle, so that the client sees that it is incomplete.
BREAK_OFF = "replog.break_off"

_KEY = "replog.request_context"


class RequestContext:
    """One request. Of a header that is sent twice the last counts, unless it is a list; empty counts as absent."""

    __slots__ = (
        "_trace_id",
        "accept_language",
        "authorization",
        "client",
        "host",
        "if_none_match",
        "last_event_id",
        "prefix",
        "store_trouble",
        "time_zone",
        "token",
        "traceparent",
        "waited_s",
        "zone",
    )

    def __init__(self, headers: Iterable[tuple[bytes, bytes]], zone: tzinfo = UTC) -> None:
        self.accept_language = self.authorization = self.time_zone = self.traceparent = ""
        self.host = self.if_none_match = self.last_event_id = ""
        #: The client for rate and concurrency limits: a token, else an address.
        self.client = ""
        #: The name of its token; empty for none.
        self.token = ""
        #: The prefix of the task keys that the client may read; empty for all.
        self.prefix = ""
        #: The kind of trouble in which the store failed this request; empty for none.
        self.store_trouble = ""
        #: The zone of the times in the answer.
        self.zone = zone
        #: Seconds that the client chose to wait for changes.
        self.waited_s = 0.0
        self._trace_id = ""
        for name, value in headers:
            if name in _ATTRIBUTES:
                setattr(self, _ATTRIBUTES[name], value.decode("latin-1").strip())
            elif name == b"if-none-match":
                self.if_none_match += f"{',' if self.if_none_match else ''}{value.decode('latin-1').strip()}"

    @property
    def trace_id(self) -> str:
        """The W3C trace id of the request: from ``traceparent``, else a new one. It does not change."""
        if not self._trace_id:
            given = parse(self.traceparent)
            self._trace_id = given.trace_id if given else new_trace_id()
        return self._trace_id


#: Headers that are read, and where they go.
_ATTRIBUTES = {
    b"accept-language": "accept_language",
    b"authorization": "authorization",
    b"host": "host",
    b"last-event-id": "last_event_id",
    TRACEPARENT.encode(): "traceparent",
    TIME_ZONE_HEADER.lower().encode(): "time_zone",
}


def new_trace_id() -> str:
    """A random trace id."""
    return os.urandom(16).hex()


def begin_request(scope: MutableMapping[str, Any], zone: tzinfo) -> RequestContext:
    """The context of a request that just came in, which the scope then holds."""
    context = scope[_KEY] = RequestContext(scope["headers"], zone)
    return context


def context_of(scope: MutableMapping[str, Any]) -> RequestContext:
    """The context of a request."""
    found: RequestContext | None = scope.get(_KEY)
    return found or begin_request(scope, UTC)
