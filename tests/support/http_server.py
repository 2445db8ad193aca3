"""HTTP servers of tests: on loopback, in a thread, until the end of a block."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds between two looks at whether the server is to end.
_POLL_S = 0.01


class QuietHandler(BaseHTTPRequestHandler):
    """Handles requests without a line about each; a connection serves several."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def serving_http(handler: type[QuietHandler], name: str, port: int = 0) -> Iterator[int]:
    """The port of a server whose requests ``handler`` handles: ``port``, or any free one. ``name`` is the thread's."""
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    # A request that is not answered yet does not hold up the end.
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=[_POLL_S], name=name, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
