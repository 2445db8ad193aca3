"""An OAuth 2.0 token endpoint that a test controls: a real HTTP server on loopback."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from tests.support.http_server import QuietHandler, serving_http
from tests.support.services.kafka_secured import unsigned_token

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT_ID, CLIENT_SECRET = "replog", "of-the-client"


@dataclass
class TokenEndpoint:
    """Gives tokens of ``life_s`` to the client with :attr:`secret`, and others an error."""

    life_s: float
    port: int = 0
    secret: str = CLIENT_SECRET
    #: A status to answer with in place of a token.
    status: int = 200
    #: The forms of all requests that got a token.
    forms: list[dict[str, list[str]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/token"

    def answer(self, authorization: str, body: bytes) -> tuple[int, object]:
        """Status and body of an answer."""
        if self.status != 200:
            return self.status, {}
        credentials = base64.b64encode(f"{CLIENT_ID}:{self.secret}".encode()).decode()
        if authorization != f"Basic {credentials}":
            return 401, {"error": "invalid_client", "error_description": "who is this"}
        self.forms.append(parse_qs(body.decode()))
        return 200, {"access_token": unsigned_token(self.life_s), "token_type": "Bearer", "expires_in": self.life_s}


@contextlib.contextmanager
def issuing(life_s: float = 3600.0) -> Iterator[TokenEndpoint]:
    """An endpoint that answers until the end of the block."""
    endpoint = TokenEndpoint(life_s)

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, answer = endpoint.answer(self.headers["authorization"] or "", body)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    with serving_http(Handler, "token endpoint") as endpoint.port:
        yield endpoint
