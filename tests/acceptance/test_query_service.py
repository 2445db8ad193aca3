"""The query service as a process: what it does with strange requests, a store in trouble, and a stop."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from replog_api.admission.limits import MAX_URL_BYTES
from tests.support.query_service import event, write
from tests.support.services import redis as redis_service
from tests.support.services.process import wait_until
from tests.support.services.redis import OwnRedis
from tests.support.system import API, RECORDS, Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_S = 20.0


#: Within which the service has to say that its store does not answer, on a machine that does other things too.
TOLD_WITHIN_S = 2.0
PAGE = "?pageNumber=1&pageSize=5"
PATHS = ["list/t", f"page/t{PAGE}", "detail/list/r", f"detail/page/r{PAGE}&clusterName=d", "overview/r", "r"]


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis that this test alone has, and may put into trouble."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = OwnRedis(redis_service.server_binary(os.environ.get(redis_service.VARIABLE)), folder)
    server.start()
    yield server
    server.resume()
    server.close()


@pytest.fixture
def troubled(own_redis: OwnRedis, tmp_path: Path) -> Iterator[Process]:
    """A query service over it, that has answered already."""
    details = [event("detail.started", detailId=f"d{number}", remoteCluster="dev") for number in range(3000)]
    asyncio.run(write(own_redis.url, "replog", [event("record.started"), *details]))
    process = Process(API, tmp_path, {"REPLOG_REDIS_URL": own_redis.url, "REPLOG_API_PORT": "0"})
    process.start()
    assert statuses(process) == {200}
    yield process
    process.kill()


def statuses(api: Process) -> set[int]:
    """What all endpoints answer."""
    return {api.get(f"{RECORDS}/{path}").status_code for path in PATHS}


def told_in_time(client: httpx.Client, path: str) -> int:
    """The status of an answer, which has to be a good one or the error of a store in trouble, soon."""
    began = time.monotonic()
    answer = client.get(f"{RECORDS}/{path}")
    took_s = time.monotonic() - began
    if answer.status_code != 200:
        assert (answer.status_code, answer.json()["code"]) == (503, 250102)
        assert int(answer.headers["retry-after"]) > 0
    assert took_s < TOLD_WITHIN_S
    return answer.status_code


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
        (b"GET /" + b"x" * MAX_URL_BYTES + b" HTTP/1.1\r\nConnection: close\r\n\r\n", 414),
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


@pytest.mark.parametrize("trouble", ["hangs", "is down"])
def test_a_store_in_trouble_is_told_soon_and_gotten_over(troubled: Process, own_redis: OwnRedis, trouble: str) -> None:
    """503 with ``Retry-After`` from every endpoint, also for many at once; good answers again without a restart."""
    begin, end = {"hangs": (own_redis.pause, own_redis.resume), "is down": (own_redis.kill, own_redis.start)}[trouble]
    with httpx.Client(base_url=troubled.url, timeout=TIMEOUT_S) as client, ThreadPoolExecutor(24) as many:
        for _ in range(2):
            begin()
            assert set(many.map(lambda path: told_in_time(client, path), PATHS)) == {503}
            assert set(many.map(lambda path: told_in_time(client, path), PATHS * 4)) == {503}
            assert client.get("/readyz").status_code == 503
            assert client.get("/livez").status_code == 200
            end()
            assert wait_until(lambda: client.get("/readyz").status_code == 200, TIMEOUT_S)
            assert wait_until(lambda: statuses(troubled) == {200}, TIMEOUT_S)
    # Nobody got what was meant for another: connections that broke off are not used again.
    assert troubled.get(f"{RECORDS}/overview/r").json()["data"]["running"] == 3000
    assert troubled.get(f"{RECORDS}/page/t{PAGE}").json()["data"]["records"][0]["id"] == "r"


def test_a_list_that_breaks_off_is_seen_to_be_incomplete(troubled: Process, own_redis: OwnRedis) -> None:
    """The connection is cut before the body has ended."""
    with httpx.stream("GET", f"{troubled.url}{RECORDS}/detail/list/r", timeout=TIMEOUT_S) as answer:
        assert answer.status_code == 200
        chunks = answer.iter_raw(1000)
        next(chunks)
        own_redis.pause()
        with pytest.raises(httpx.RemoteProtocolError):
            list(chunks)
    own_redis.resume()
    assert wait_until(lambda: statuses(troubled) == {200}, TIMEOUT_S)
