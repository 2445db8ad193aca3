"""A receiver of webhooks that a test controls: a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.http_server import QuietHandler, serving_http

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent in its body."""
        event: dict[str, Any] = json.loads(self.body)
        return event


@dataclass
class WebhookReceiver:
    """Answers 204 unless told otherwise. ``answers`` are given first, one a request: a status, and headers."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    #: Cleared: requests are taken and not answered.
    answering: threading.Event = field(default_factory=threading.Event)
    body: bytes = b""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def subjects(self) -> list[str]:
        """The records that requests were about, in order."""
        return [one.event["subject"] for one in self.received]

    async def has(self, number: int) -> None:
        """Return once there were that many requests."""
        async with asyncio.timeout(30):
            while len(self.received) < number:
                await asyncio.sleep(0.01)


@contextlib.contextmanager
def receiving(port: int = 0) -> Iterator[WebhookReceiver]:
    """A receiver that runs, on ``port`` or any free one."""
    receiver = WebhookReceiver()
    receiver.answering.set()

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:
                # The sender ended before it had sent its request.
                self.close_connection = True
                return
            receiver.received.append(Received(self.path, dict(self.headers.items()), body))
            status, headers = receiver.answers.pop(0) if receiver.answers else (204, {})
            receiver.answering.wait()
            content = receiver.body if status != 204 else b""
            with contextlib.suppress(OSError):
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name, text)
                if status != 204:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

    with serving_http(Handler, "webhook receiver", port) as receiver.port:
        try:
            yield receiver
        finally:
            receiver.answering.set()
