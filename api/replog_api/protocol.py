"""HTTP/1.1 as uvicorn speaks it with httptools, with a bound to what one request's head may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orjson import dumps
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from replog_api import messages
from replog_api.problems import HEADERS_TOO_LARGE, INVALID_REQUEST
from replog_api.visit import new_trace_id

if TYPE_CHECKING:
    from replog_api.languages import Text
    from replog_api.problems import Problem

#: Bytes read of a head that does not end. What ends before is measured exactly by the gate.
MAX_UNFINISHED_BYTES = 262_144


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What is refused before it is a request gets the envelope too."""

    _in_head = False
    _head_bytes = 0

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
