"""The collector's health port, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from structlog.testing import capture_logs

from replog.errors import BrokerUnavailable, SettingsError, StoreIncompatible, StoreUnavailable
from replog_collector.health.progress import Progress
from replog_collector.health.server import HealthServer, Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

USUAL = Limits()
SECRET = "redis://operator:***@redis.internal:6379"  # noqa: S105 - it is looked for


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def well() -> None:
    """A check that finds nothing."""


def served(
    checks: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
    *,
    clock: Callable[[], float] = lambda: 0.0,
    watch: Callable[[], None] = lambda: None,
    limits: Limits = USUAL,
) -> HealthServer:
    """A server that is not started."""
    return HealthServer("127.0.0.1", 0, Progress(clock, 60), checks or {}, watch=watch, limits=limits)


def asked(server: HealthServer, path: str, method: str = "GET") -> httpx.Response:
    """What it answers; blocks as a hanging event loop does."""
    return httpx.request(method, f"http://127.0.0.1:{server.port}{path}", timeout=10)


async def asked_beside(server: HealthServer, path: str, method: str = "GET") -> httpx.Response:
    """What it answers, while this event loop goes on."""
    return await asyncio.to_thread(asked, server, path, method)


async def test_a_hanging_loop_is_alive_until_it_has_hung_for_long() -> None:
    """This test's loop hangs from the beginning to the end."""
    clock = Clock()
    with served(clock=clock) as server:
        assert (asked(server, "/livez").status_code, asked(server, "/livez").text) == (200, "ok\n")
        clock.now = 61
        answer = asked(server, "/livez")
        assert (answer.status_code, answer.text) == (503, "the loop has not come round for 61 s\n")
        assert asked(server, "/metrics").status_code == 200


async def test_readiness_of_a_hanging_loop_is_a_timeout() -> None:
    with served({"redis": well}, limits=Limits(check_s=0.05)) as server:
        answer = asked(server, "/readyz")
        assert (answer.status_code, answer.text) == (503, "collector: timeout\n")


async def test_the_collector_is_ready_where_everything_answers() -> None:
    with served({"redis": well, "kafka": well}) as server:
        answer = await asked_beside(server, "/readyz")
    assert (answer.status_code, answer.text) == (200, "ok\n")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StoreUnavailable("oom", f"{SECRET}: full"), "oom"),
        (BrokerUnavailable(f"{SECRET}: away"), "unavailable"),
        (StoreIncompatible(f"{SECRET} is Redis 5.0"), "incompatible"),
        (ValueError(SECRET), "error"),
    ],
    ids=repr,
)
async def test_what_is_not_ready_is_named_without_its_address(error: Exception, kind: str) -> None:
    """That is in the log, once."""

    async def ill() -> None:
        raise error

    with capture_logs() as lines, served({"redis": ill, "kafka": well}) as server:
        answers = [await asked_beside(server, "/readyz") for _ in range(3)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(503, f"redis: {kind}\n")}
    (line,) = lines
    assert (line["event"], line["dependency"], line["kind"]) == ("not_ready", "redis", kind)
    assert SECRET in line["error"]


def up(exposition: str) -> dict[str, str]:
    """What the metrics say of each dependency."""
    lines = [line for line in exposition.splitlines() if line.startswith("replog_dependency_up{")]
    return {line.split('"')[1]: line.split(" ")[1] for line in lines}


async def test_a_scrape_says_which_dependency_answers() -> None:
    async def ill() -> None:
        raise StoreUnavailable("oom", "full")

    with served({"redis": ill, "kafka": well}) as server:
        assert up((await asked_beside(server, "/metrics")).text) == {"redis": "0.0", "kafka": "1.0"}
        # This test's loop hangs now.
        assert up(asked(server, "/metrics").text) == {"redis": "0.0", "kafka": "0.0"}


async def test_a_check_that_hangs_is_a_timeout_and_ends() -> None:
    """Also where it swallows a cancellation, and with others beside it; however many ask, it runs once."""
    running, begun = 0, 0

    async def hanging() -> None:
        nonlocal running, begun
        begun, running = begun + 1, running + 1
        try:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.Event().wait()
        finally:
            running -= 1

    async def away() -> None:
        raise BrokerUnavailable("away")

    with served({"redis": hanging, "kafka": away}, limits=Limits(check_s=0.2)) as server:
        answers = await asyncio.gather(*(asked_beside(server, "/readyz") for _ in range(4)))
        assert {answer.text for answer in answers} == {"redis: timeout\nkafka: unavailable\n"}
        assert running == 0
        assert begun <= 2


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_head_has_the_head_of_get(path: str) -> None:
    with served({"redis": well}) as server:
        got, head = await asked_beside(server, path), await asked_beside(server, path, "HEAD")
    assert (got.status_code, head.status_code, head.content) == (200, 200, b"")
    assert got.headers["Content-Type"] == head.headers["Content-Type"]
    assert int(head.headers["Content-Length"]) > 0


@pytest.mark.parametrize(("path", "method", "status"), [("/", "GET", 404), ("/livez", "POST", 405)])
async def test_anything_else_is_refused(path: str, method: str, status: int) -> None:
    with served() as server:
        assert asked(server, path, method).status_code == status


async def test_more_silent_connections_than_there_may_be_cost_no_threads_and_hold_up_nobody() -> None:
    """The oldest are closed."""
    with served({"redis": well}, limits=Limits(connections=8)) as server:
        threads = threading.active_count()
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
        try:
            assert asked(server, "/livez").status_code == 200
            assert threading.active_count() == threads
            assert (await asked_beside(server, "/readyz")).status_code == 200
            silent[0].settimeout(10)
            assert is_closed(silent[0])
        finally:
            for connection in silent:
                connection.close()


def is_closed(connection: socket.socket) -> bool:
    """Whether the other end closes it, in time."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"GET /livez HTTP/1.1\r\n", b"GET /livez HTTP/1.1\r\nX: "])
async def test_a_head_that_does_not_come_is_not_waited_for(sent: bytes) -> None:
    with served(limits=Limits(head_s=0.05)) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as slow:
            slow.sendall(sent)
            with contextlib.suppress(ConnectionResetError):
                assert slow.recv(1) == b""
        assert asked(server, "/livez").status_code == 200


async def test_a_head_without_end_is_refused() -> None:
    with served() as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as endless:
            endless.sendall(b"GET /livez HTTP/1.1\r\nX: " + b"x" * 100_000)
            with contextlib.suppress(ConnectionResetError):
                assert endless.recv(100).startswith(b"HTTP/1.1 431 ")
        assert asked(server, "/livez").status_code == 200


async def test_an_answer_that_takes_too_long_is_given_up() -> None:
    """This test's loop hangs, and the check with it."""
    with served({"redis": well}, limits=Limits(answer_s=0.1)) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=1.5) as waiting:
            waiting.sendall(b"GET /readyz HTTP/1.1\r\n\r\n")
            assert waiting.recv(1) == b""
        assert asked(server, "/livez").status_code == 200


async def test_it_looks_again_and_again_and_ends_with_its_block() -> None:
    looked = threading.Semaphore(0)
    with served(watch=looked.release) as server:
        for _ in range(3):
            assert looked.acquire(timeout=10)
        silent = socket.create_connection(("127.0.0.1", server.port))
        assert asked(server, "/livez").status_code == 200
        began_s = time.monotonic()
    silent.close()
    assert time.monotonic() - began_s < 5
    assert not [thread for thread in threading.enumerate() if thread.name == "health"]
    with pytest.raises(httpx.ConnectError):
        asked(server, "/livez")


async def test_where_it_cannot_listen_is_a_wrong_setting() -> None:
    with served() as server, pytest.raises(SettingsError, match=f"REPLOG_COLLECTOR_PORT={server.port}"):
        HealthServer("127.0.0.1", server.port, Progress(lambda: 0.0, 60), {}, watch=lambda: None)
    with pytest.raises(SettingsError, match=r"REPLOG_COLLECTOR_HOST=192\.0\.2\.1"):
        HealthServer("192.0.2.1", 0, Progress(lambda: 0.0, 60), {}, watch=lambda: None)
