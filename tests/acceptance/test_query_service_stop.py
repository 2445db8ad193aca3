"""The query service stops in order: it says so first, nobody is turned away meanwhile, and it ends in time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.services import redis as redis_service
from tests.support.services.process import wait_until
from tests.support.services.redis import OwnRedis
from tests.support.system import API, RECORDS, Process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE_S = 60.0
DRAIN_S = 2
#: In which SIGTERM ends every process, by the operator's contract.
ENDED_WITHIN_S = 10.0
REFUSED = "refused"
#: Between two requests of a client: those that ask without a pause would take the time that probes need.
PAUSE_S = 0.02


@pytest.fixture
def start(redis_url: str, redis_prefix: str, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts query services that answer."""
    processes: list[Process] = []

    def started(**variables: object) -> Process:
        settings = {"REPLOG_REDIS_URL": redis_url, "REPLOG_REDIS_PREFIX": redis_prefix, "REPLOG_API_PORT": "0"}
        settings |= {"REPLOG_LOG_FORMAT": "json", "REPLOG_API_REQUESTS_PER_S": "0"}
        settings |= {name: str(value) for name, value in variables.items()}
        processes.append(Process(API, tmp_path, settings))
        processes[-1].start()
        assert wait_until(lambda: answers(processes[-1]), DEADLINE_S)
        return processes[-1]

    yield started
    for process in processes:
        process.kill()


def answers(process: Process) -> bool:
    """Whether a service serves; its listener is there before."""
    try:
        return process.get("/livez").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


class Clients:
    """Clients that ask again and again, until nobody listens any more; ``seen`` counts what they got."""

    def __init__(self, url: str, path: str) -> None:
        address = urlsplit(url)
        self._address = str(address.hostname), int(address.port or 0)
        self._path = path
        self.seen: Counter[object] = Counter()
        #: Answers of ``/readyz``, as long as there were any.
        self.ready: list[int] = []
        #: When the last of these came, by the monotonic clock.
        self.ready_until_s = 0.0
        jobs = [self._ask_once] * 4 + [self._ask_on] * 4 + [self._probe]
        self._threads = [threading.Thread(target=job) for job in jobs]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        assert wait_until(lambda: self.seen[200] > 100, DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(DEADLINE_S)

    def _connection(self) -> HTTPConnection:
        return HTTPConnection(*self._address, timeout=DEADLINE_S)

    def _ask_once(self) -> None:
        """A connection for each request."""
        listening = True
        while listening:
            with closing(self._connection()) as connection:
                listening = self._note(connection, fresh=True)
            time.sleep(PAUSE_S)

    def _ask_on(self) -> None:
        """One connection until it is closed; what fails on one that was used before is asked once more."""
        with closing(self._connection()) as connection:
            fresh = True
            while self._note(connection, fresh=fresh):
                fresh = connection.sock is None
                time.sleep(PAUSE_S)

    def _note(self, connection: HTTPConnection, *, fresh: bool) -> bool:
        """Ask, and count what came; whether somebody still listens."""
        try:
            connection.request("GET", self._path)
            answer = connection.getresponse()
            answer.read()
            self.seen[answer.status] += 1
        except ConnectionRefusedError:
            self.seen[REFUSED] += 1
            return False
        except (OSError, HTTPException) as error:
            connection.close()
            if fresh:
                self.seen[repr(error)] += 1
        return True

    def _probe(self) -> None:
        while True:
            connection = self._connection()
            try:
                connection.request("GET", "/readyz")
                self.ready.append(connection.getresponse().status)
                self.ready_until_s = time.monotonic()
            except OSError:
                return
            finally:
                connection.close()
            time.sleep(PAUSE_S)


@pytest.mark.parametrize("workers", [1, 2])
def test_nobody_is_turned_away_by_a_stop(start: Callable[..., Process], workers: int) -> None:
    """Requests are answered until connections are refused; ``/readyz`` says before that they will be."""
    api = start(REPLOG_API_WORKERS=workers, REPLOG_API_DRAIN_S=DRAIN_S)
    with Clients(api.url, f"{RECORDS}/page/t?pageNumber=1&pageSize=5") as clients:
        began_s = time.monotonic()
        assert api.stop() == 0
        took_s = time.monotonic() - began_s
    assert set(clients.seen) == {200, REFUSED}, clients.seen
    assert set(clients.ready) == {200, 503}
    assert clients.ready == sorted(clients.ready)
    assert clients.ready_until_s - began_s > DRAIN_S / 2
    assert DRAIN_S <= took_s < ENDED_WITHIN_S


def test_a_stop_of_all_processes_is_one_stop(start: Callable[..., Process]) -> None:
    """As systemd stops a service: its signal reaches the workers, too, which is no second one."""
    api = start(REPLOG_API_WORKERS=2, REPLOG_API_DRAIN_S=DRAIN_S)
    assert wait_until(lambda: len(workers_of(api)) == 2, DEADLINE_S)
    with Clients(api.url, f"{RECORDS}/page/t?pageNumber=1&pageSize=5") as clients:
        began_s = time.monotonic()
        for pid in workers_of(api):
            os.kill(pid, signal.SIGTERM)
        assert api.stop() == 0
    assert set(clients.seen) == {200, REFUSED}, clients.seen
    assert clients.ready_until_s - began_s > DRAIN_S / 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_does_not_stop_by_itself(start: Callable[..., Process], number: signal.Signals) -> None:
    """It would close the socket at which the others accept."""
    api = start(REPLOG_API_WORKERS=2, REPLOG_API_DRAIN_S=0)
    assert wait_until(lambda: len(workers_of(api)) == 2, DEADLINE_S)
    known = workers_of(api)
    with Clients(api.url, f"{RECORDS}/page/t?pageNumber=1&pageSize=5") as clients:
        for pid in known:
            os.kill(pid, number)
        before = clients.seen[200]
        assert wait_until(lambda: clients.seen[200] > before + 200, DEADLINE_S)
        assert workers_of(api) == known
        assert api.stop() == 0
    assert set(clients.seen) == {200, REFUSED}, clients.seen


def test_a_worker_that_is_stopped_while_it_starts_turns_nobody_away(start: Callable[..., Process]) -> None:
    """All workers accept at one socket, which one of them could close for all."""
    drain_s = 4
    api = start(REPLOG_API_WORKERS=2, REPLOG_API_DRAIN_S=drain_s)
    assert wait_until(lambda: len(workers_of(api)) == 2, DEADLINE_S)
    known = workers_of(api)
    os.kill(min(known), signal.SIGKILL)
    assert wait_until(lambda: bool(workers_of(api) - known), DEADLINE_S)
    (starting,) = workers_of(api) - known
    os.kill(starting, signal.SIGSTOP)
    assert wait_until(lambda: answers(api), DEADLINE_S)
    with Clients(api.url, f"{RECORDS}/page/t?pageNumber=1&pageSize=5") as clients:
        began_s = time.monotonic()
        signalled(api, signal.SIGTERM)
        assert wait_until(lambda: 503 in clients.ready, DEADLINE_S)
        os.kill(starting, signal.SIGCONT)
        assert api.wait() == 0
        took_s = time.monotonic() - began_s
    assert set(clients.seen) == {200, REFUSED}, clients.seen
    assert clients.ready == sorted(clients.ready)
    assert clients.ready_until_s - began_s > drain_s / 2
    assert took_s < ENDED_WITHIN_S


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_the_drain(start: Callable[..., Process], workers: int) -> None:
    """And nobody is turned away by that either."""
    api = start(REPLOG_API_WORKERS=workers, REPLOG_API_DRAIN_S=300)
    with Clients(api.url, f"{RECORDS}/page/t?pageNumber=1&pageSize=5") as clients:
        signalled(api, signal.SIGINT)
        assert wait_until(lambda: 503 in clients.ready, DEADLINE_S)
        assert api.running
        assert api.stop() == 0
    assert set(clients.seen) == {200, REFUSED}, clients.seen


def signalled(api: Process, number: signal.Signals) -> None:
    """Send a signal to a process alone."""
    assert api._process
    api._process.send_signal(number)


def test_a_worker_that_dies_is_replaced(start: Callable[..., Process]) -> None:
    """With a line that says so; the service goes on."""
    api = start(REPLOG_API_WORKERS=2, REPLOG_API_DRAIN_S=0)
    assert wait_until(lambda: len(workers_of(api)) == 2, DEADLINE_S)
    victim = min(workers_of(api))
    os.kill(victim, signal.SIGKILL)
    assert wait_until(lambda: len(workers_of(api) - {victim}) == 2, DEADLINE_S)
    assert [(line["pid"], line["exit_code"]) for line in api.lines("worker_died")] == [(victim, -signal.SIGKILL)]
    assert api.stop() == 0


def test_workers_end_with_their_supervisor(start: Callable[..., Process]) -> None:
    """Also where that is killed: the address is free for the next."""
    api = start(REPLOG_API_WORKERS=2, REPLOG_API_DRAIN_S=0)
    assert wait_until(lambda: len(workers_of(api)) == 2, DEADLINE_S)
    workers = workers_of(api)
    signalled(api, signal.SIGKILL)
    assert api.wait() == -signal.SIGKILL
    assert wait_until(lambda: not any(map(runs, workers)), DEADLINE_S)


def workers_of(api: Process) -> set[int]:
    """The pids of a service's worker processes."""
    assert api._process
    parent = str(api._process.pid)
    pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return {pid for pid in pids if parent_of(pid) == parent and "spawn_main" in read(f"/proc/{pid}/cmdline")}


def parent_of(pid: int) -> str:
    """The parent of a process, empty where there is none or it has ended."""
    state, parent = [*read(f"/proc/{pid}/stat").rpartition(")")[2].split(), "Z", ""][:2]
    return "" if state == "Z" else parent


def read(path: str) -> str:
    """A file's text, empty where it is not there any more."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def runs(pid: int) -> bool:
    """Whether a process is there."""
    return bool(parent_of(pid))


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


@pytest.mark.parametrize("settings", [{"REPLOG_API_DRAIN_S": DRAIN_S}, {"REPLOG_API_WORKERS": 2}])
def test_a_store_that_stands_still_holds_up_no_stop(
    start: Callable[..., Process], own_redis: OwnRedis, settings: dict[str, int]
) -> None:
    """With requests, streams' looks and freshness all waiting for it; with several workers, also after all the drain.

    Whatever the drain, answers may take what it leaves of the time.
    """
    api = start(REPLOG_REDIS_URL=own_redis.url, **settings)
    over = threading.Event()

    def ask(path: str) -> None:
        while not over.is_set():
            try:
                api.get(f"{RECORDS}/{path}")
            except Exception:  # noqa: BLE001 - only that it is asked counts here
                return

    paths = ["page/t?pageNumber=1&pageSize=5", "detail/list/r", "overview/r", "stream/r", "list/t"] * 3
    threads = [threading.Thread(target=ask, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    own_redis.pause()
    assert wait_until(lambda: bool(api.lines("store_unavailable")), DEADLINE_S)
    began_s = time.monotonic()
    assert api.stop() == 0
    assert time.monotonic() - began_s < ENDED_WITHIN_S
    over.set()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert not [line for line in api.log.splitlines() if "Traceback" in line]
