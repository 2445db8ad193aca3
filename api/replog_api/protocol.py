"""HTTP/1.1 as uvicorn speaks it with httptools, but that answers leave whole, and heads are bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from orjson import dumps
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from replog_api import messages
from replog_api.problems import HEADERS_TOO_LARGE, INVALID_REQUEST
from replog_api.visit import new_trace_id

if TYPE_CHECKING:
    import asyncio

    from replog_api.languages import Text
    from replog_api.problems import Problem

#: Bytes read of a head that does not end. What ends before is measured exactly by the gate.
MAX_UNFINISHED_BYTES = 262_144
#: Bytes that wait for the end of a step; more would be copied, and hide from flow control.
MAX_JOINED_BYTES = 65_536


class Joined:
    """A transport that sends together what one step of the event loop writes: head and body of an answer are one write.

    Everything but writing and closing is the transport's own.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Send ``data`` soon; at once where much is waiting."""
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)
        self._bytes += len(data)
        if self._bytes > MAX_JOINED_BYTES:
            self._send()

    def close(self) -> None:
        """Close once all that was written is sent."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._written:
            written, self._written, self._bytes = self._written, [], 0
            self._transport.writelines(written)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What is refused before it is a request gets the envelope too."""

    _in_head = False
    _head_bytes = 0

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
