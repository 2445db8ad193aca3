"""The query service as a process: what it does with strange requests, a store in trouble, and a stop."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.acceptance.system import API, Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_S = 20.0


@pytest.fixture
def api(redis_url: str, redis_prefix: str, tmp_path: Path) -> Iterator[Process]:
    """A query service with one worker."""
    variables = {"REPLOG_REDIS_URL": redis_url, "REPLOG_REDIS_PREFIX": redis_prefix, "REPLOG_API_PORT": "0"}
    process = Process(API, tmp_path, variables | {"REPLOG_LOG_FORMAT": "json"})
    process.start()
    yield process
    process.kill()


def connected(api: Process) -> socket.socket:
    """A connection of one's own."""
    address = urlsplit(api.url)
    return socket.create_connection((str(address.hostname), int(address.port or 0)), TIMEOUT_S)


def raw_answer(api: Process, request: bytes) -> tuple[int, Any]:
    """Status and body of the answer to bytes, after which the service has to close the connection."""
    with connected(api) as client:
        client.sendall(request)
        received = b""
        while chunk := client.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nConnection: close\r\n\r\n", 414),
        (b"GET /x HTTP/1.1\r\nConnection: close\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        # Just too long: with unread bytes left, the answer could be lost with the connection.
        (b"GET /x HTTP/1.1\r\n" + b"X: y\r\n" * 43_700, 431),
    ],
    ids=["nonsense", "no header", "long URL", "large header", "endless head"],
)
def test_what_is_no_request_is_refused_in_the_envelope(api: Process, request_bytes: bytes, status: int) -> None:
    """And the connection is closed; the service goes on."""
    answered, body = raw_answer(api, request_bytes)
    assert (answered, body["code"], body["data"], len(body["traceId"])) == (status, 250131, None, 32)
    assert api.get("/livez").status_code == 200
