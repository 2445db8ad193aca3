"""A proxy that serves another server's paths under a prefix, as an operator's nginx may."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from tests.support.http_server import QuietHandler, serving_http
from tests.support.services.plain_http import NO_TLS

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 20.0
#: What holds between the proxy and the server alone.
_OF_ONE_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


@contextmanager
def proxied(target: str, prefix: str) -> Iterator[str]:
    """The URL at which ``target`` is served, which ends with ``prefix``; all else there is a 404."""
    client = httpx.Client(base_url=target, timeout=TIMEOUT_S, verify=NO_TLS)

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            """Pass on what is asked below the prefix."""
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            headers = {name: text for name, text in self.headers.items() if name.lower() not in _OF_ONE_HOP}
            answer = client.get(self.path.removeprefix(prefix), headers=headers)
            self.send_response(answer.status_code)
            for name, text in answer.headers.items():
                if name.lower() not in _OF_ONE_HOP:
                    self.send_header(name, text)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

    with client, serving_http(Handler, "prefix proxy") as port:
        yield f"http://127.0.0.1:{port}{prefix}"
