"""HTTP/1.1 of uvicorn and httptools, with coalesced writes, and limits for clients."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast
from weakref import ref

from orjson import dumps
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from replog.telemetry import logger
from replog_api.admission.waiting_clients import END_WAITING
from replog_api.http import messages
from replog_api.http.errors import HEADERS_TOO_LARGE, INVALID_REQUEST
from replog_api.http.request_context import BREAK_OFF, new_trace_id
from replog_api.server.write_coalescing import WriteCoalescingTransport

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from replog_api.http.errors import Problem
    from replog_api.http.languages import Text
    from replog_api.server.connections import Connections

#: Bytes of a head without an end. The request middleware measures complete heads exactly.
MAX_UNFINISHED_BYTES = 262_144


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a server whose state is :class:`Connections`. Refusals have the API's envelope too."""

    server_state: Connections

    #: Part of a request that has begun and not ended.
    _in_head = _in_body = False
    _head_bytes = 0
    #: Closes the connection unless the rest of the request arrives before.
    _too_late: asyncio.TimerHandle | None = None
    #: While the client does not read fast enough: bytes that waited for it at the last check, and the next check.
    _unsent_bytes = 0
    _next_look: asyncio.TimerHandle | None = None
    #: Cuts off the response under way at a stop.
    _end: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits = self.server_state.limits

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the limit for the first request's head."""
        super().connection_made(cast("asyncio.Transport", WriteCoalescingTransport(transport, self.loop)))
        self.server_state.is_silent(self)
        self.server_state.make_room()
        self._wait_for_rest(self._limits.head_s)

    def data_received(self, data: bytes) -> None:
        """Refuse a head that is too large; restart the limits."""
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if self._in_head else 0
        if self._head_bytes > MAX_UNFINISHED_BYTES and not self.transport.is_closing():
            self._refuse(HEADERS_TOO_LARGE, messages.HEADERS_TOO_LARGE)
        elif self._too_late is None and (self._in_head or self._in_body or self._idle):
            self._wait_for_rest(self._limits.body_s if self._in_body else self._limits.head_s)

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that the head ends and the body begins."""
        self._in_head, self._in_body = False, True
        self._wait_no_more()
        self.server_state.is_served(self)
        super().on_headers_complete()
        # The request holds the scope. If the scope held the request, each one would be a reference cycle, and freeing
        # thousands of these at once would stop the process for some tens of milliseconds twice a second.
        self.scope[BREAK_OFF] = partial(_break_off, ref(self.cycle))  # type: ignore[literal-required]
        if self.server_state.drain.begun:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Note that the request ends."""
        self._in_body = False
        self._wait_no_more()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Note that the connection is idle, unless another request waits."""
        super().on_response_complete()
        if self._idle:
            self.server_state.is_silent(self)

    def pause_writing(self) -> None:
        """Watch a client that does not read fast enough."""
        super().pause_writing()
        self.server_state.is_silent(self)
        self._look_later(self._limits.stalled_s)

    def resume_writing(self) -> None:
        """Stop watching a client that reads again."""
        self._look_no_more()
        if not self._idle:
            self.server_state.is_served(self)
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all limits."""
        self._look_no_more()
        self._wait_no_more()
        if self._end:
            self._end.cancel()
        super().connection_lost(exc)
        self.server_state.is_served(self)

    def begin_drain(self) -> None:
        """Make the response under way the last one of this connection."""
        for cycle in self._cycles:
            cycle.keep_alive = False

    def shutdown(self) -> None:
        """Stop: send waiting clients away, finish responses under way, close an idle connection.

        A connection that was just opened, or has begun to send a request, still gets its response.
        """
        self.app_state[END_WAITING]()
        self.begin_drain()
        if self._next_look:
            self._look_later(self._limits.stalled_at_stop_s)
        if self._idle and self._latest and not self._in_head:
            self.transport.close()
        elif self._idle or self._in_head:
            self._wait_no_more()
            self._wait_for_rest(self._limits.head_at_stop_s)
        if not self.transport.is_closing():
            after_s = self._limits.finished_at_stop_s
            self._end = self.loop.call_later(after_s, self._cut_off, after_s)

    @property
    def _cycles(self) -> list[RequestResponseCycle]:
        """The requests that are not answered yet."""
        cycles = [*filter(None, [self._latest]), *(cycle for cycle, _ in self.pipeline)]
        return [cycle for cycle in cycles if not cycle.response_complete]

    @property
    def _idle(self) -> bool:
        """Whether no request is being answered."""
        return self._latest is None or (self.cycle.response_complete and not self.pipeline)

    @property
    def _latest(self) -> RequestResponseCycle | None:
        """The last request; None before the first."""
        return self.cycle

    def _wait_for_rest(self, limit_s: float) -> None:
        self._too_late = self.loop.call_later(limit_s, self._close)

    def _wait_no_more(self) -> None:
        if self._too_late:
            self._too_late.cancel()
            self._too_late = None

    def _close(self) -> None:
        self.transport.close()

    def _cut_off(self, after_s: float) -> None:
        if not self._idle:
            logger().warning("answer_cut_off", path=self.cycle.scope["path"], after_s=after_s)
        self.transport.abort()

    def _look_later(self, after_s: float) -> None:
        self._look_no_more()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._next_look = self.loop.call_later(after_s, self._cut_where_stalled, after_s)

    def _look_no_more(self) -> None:
        if self._next_look:
            self._next_look.cancel()
            self._next_look = None

    def _cut_where_stalled(self, after_s: float) -> None:
        if self.transport.get_write_buffer_size() < self._unsent_bytes:
            self._look_later(after_s)
        else:
            # Closing would wait until the client has read the rest.
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, with the API's envelope."""
        self._refuse(INVALID_REQUEST, messages.INVALID_REQUEST)

    def _refuse(self, problem: Problem, text: Text) -> None:
        body = b'{"code":%d,"message":%b,"data":null,"traceId":"%b"}' % (
            problem.code,
            dumps(text.english),
            new_trace_id().encode(),
        )
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[problem.status] + head + body)
        self.transport.close()


def _break_off(request: ref[RequestResponseCycle]) -> None:
    # A response cut off on purpose is no error of the application.
    if cycle := request():
        cycle.disconnected = True
        cycle.transport.close()
