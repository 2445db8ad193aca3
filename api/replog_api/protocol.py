"""HTTP/1.1 as uvicorn speaks it with httptools, but that answers leave whole, and heads are bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from orjson import dumps
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from replog.telemetry import logger
from replog_api import messages
from replog_api.joined import Joined
from replog_api.problems import HEADERS_TOO_LARGE, INVALID_REQUEST
from replog_api.visit import new_trace_id
from replog_api.watchers import END_WAITING

if TYPE_CHECKING:
    import asyncio

    from replog_api.languages import Text
    from replog_api.problems import Problem

#: Bytes read of a head that does not end. What ends before is measured exactly by the gate.
MAX_UNFINISHED_BYTES = 262_144
#: A client that has taken nothing of what waits for it for so many seconds is cut off; where the service stops, sooner.
STALLED_S, STALLED_AT_STOP_S = 15.0, 2.0
#: Where the service stops, an answer under way is cut off after so many seconds.
FINISHED_AT_STOP_S = 10.0


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What is refused before it is a request gets the envelope too."""

    _in_head = False
    _head_bytes = 0
    #: Bytes that waited for the client at the last look, and the next look, while it takes less than comes.
    _unsent_bytes = 0
    _next_look: asyncio.TimerHandle | None = None
    #: When the answer under way is cut off, while the service stops.
    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(cast("asyncio.Transport", Joined(transport, self.loop)))

    def data_received(self, data: bytes) -> None:
        """Give up on a head that does not end."""
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if self._in_head else 0
        if self._head_bytes > MAX_UNFINISHED_BYTES and not self.transport.is_closing():
            self._refuse(HEADERS_TOO_LARGE, messages.HEADERS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """It ends."""
        self._in_head = False
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """The client takes less than comes."""
        super().pause_writing()
        self._look_later(STALLED_S)

    def resume_writing(self) -> None:
        """It has taken most."""
        self._look_no_more()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._look_no_more()
        if self._end:
            self._end.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The service stops: who waits for changes is sent away, answers under way are finished."""
        super().shutdown()
        self.app_state[END_WAITING]()
        if self._next_look:
            self._look_later(STALLED_AT_STOP_S)
        if not self.transport.is_closing():
            self._end = self.loop.call_later(FINISHED_AT_STOP_S, self._cut_off, FINISHED_AT_STOP_S)

    def _cut_off(self, after_s: float) -> None:
        logger().warning("answer_cut_off", path=self.scope["path"], after_s=after_s)
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
            # Closing would wait until the client has taken the rest.
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
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
