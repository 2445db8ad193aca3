"""Pollers for a minute and more while query services behind them are restarted: no wrong answer, and no leak.

Two query services share one store. Half of the pollers ask each of them, and the other one while theirs is away; the
second is restarted again and again. A writer finishes details meanwhile, and knows how many it has begun to write and
how many are written: what a poller is told lies between what was written when it asked and what was begun when it got
the answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from replog.events import DetailFinished, DetailStarted, RecordStarted
from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from replog.store.write.writer import Writer
from replog.times import TimeUs
from tests.benchmarks.keep_alive import KeepAlive
from tests.benchmarks.machine import pin
from tests.benchmarks.store_data import batch_of
from tests.support.services.process import ServerProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from replog.events import DetailEvent, RecordEvent

POLLERS, SECONDS = 500, 105.0
#: Each poller asks so often; a detail is finished so often; a service is restarted so often.
EVERY_S, WRITES_EVERY_S, RESTARTS_EVERY_S = 1.0, 0.02, 6.0
#: After so much of the time what is kept of answers is full: memory is to grow no more.
SETTLED_S = 45.0
RECORDS, DETAILS = 20, 400
BASE = "/replication/api/task/record"
_ANSWER_S, _START_S = 30.0, 30.0
_API_CORE = 0


class Outcome(NamedTuple):
    """What came of it; ``rss_mb`` of the service that was not restarted, early and at the end."""

    answers: int
    not_modified: int
    wrong: list[str]
    turned_away: int
    restarts: int
    median_ms: float
    p99_ms: float
    rss_mb: tuple[float, float]


class _Service:
    """A query service that can be restarted."""

    def __init__(self, redis_url: str, prefix: str, log: Path) -> None:
        self.port = free_port()
        self._process = ServerProcess(log)
        settings = {
            "REPLOG_REDIS_URL": redis_url,
            "REPLOG_REDIS_PREFIX": prefix,
            "REPLOG_API_PORT": str(self.port),
            "REPLOG_API_REQUESTS_PER_S": "0",
            "REPLOG_LOG_LEVEL": "WARNING",
        }
        self._command = ["env", *(f"{name}={value}" for name, value in settings.items())]
        self._command += [sys.executable, "-m", "replog_api.main"]

    def start(self) -> None:
        """Return once it takes connections."""
        self._process.start(self._command, self._listens, _START_S)
        assert self._process._process
        pin(self._process._process.pid, _API_CORE)

    def stop(self) -> None:
        """End it in order."""
        self._process.stop()

    @property
    def rss_mb(self) -> float:
        """Memory that it holds."""
        assert self._process._process
        pages = int(Path(f"/proc/{self._process._process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def _listens(self) -> bool:
        tables = [Path(f"/proc/net/{name}").read_text(encoding="ascii") for name in ("tcp", "tcp6")]
        return any(f":{self.port:04X} 00000000" in table for table in tables)


class _Written:
    """By record: details whose end is begun to be written, and those whose end is written."""

    def __init__(self) -> None:
        self.begun = [0] * RECORDS
        self.done = [0] * RECORDS


class _Question(NamedTuple):
    """What one poller asks: of which record, and where in the answer's data the number of finished details is."""

    record: int
    path: str
    finished: Callable[[dict[str, Any]], int]


def _questions(record: int) -> list[_Question]:
    key = f"soak-{record}"
    return [
        _Question(record, f"/{key}", lambda data: data["record"]["replicaOverview"]["success"]),
        _Question(record, f"/overview/{key}", lambda data: data["success"]),
        _Question(
            record, f"/detail/page/{key}?status=SUCCESS&pageNumber=1&pageSize=20", lambda data: data["totalRecords"]
        ),
    ]


class _Poller:
    """Asks one question again and again, by connections that it keeps, with the tag of what it has."""

    def __init__(self, question: _Question, ports: list[int], written: _Written, outcome: _Tally) -> None:
        self._question = question
        self._ports = ports
        self._client = KeepAlive(ports[0])
        self._written = written
        self._outcome = outcome
        self._tag, self._value = "", 0

    async def run(self, begin_s: float, until: float) -> None:
        """Ask until then."""
        await asyncio.sleep(begin_s)
        while time.monotonic() < until:
            due = time.monotonic() + EVERY_S
            await self._ask()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        self._client.drop()

    async def _ask(self) -> None:
        for _ in range(2 * len(self._ports)):
            # A connection whose service is gone is no answer: another one is asked.
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._try()
                return
            self._client.drop()
            self._ports.reverse()
            self._client.port = self._ports[0]
        self._outcome.turned_away += 1

    async def _try(self) -> None:
        least, begun = self._written.done[self._question.record], time.perf_counter()
        asking = self._client.get(f"{BASE}{self._question.path}", self._tag)
        status, headers, body = await asyncio.wait_for(asking, _ANSWER_S)
        self._outcome.latencies.append(time.perf_counter() - begun)
        if status == 200:
            answered = self._question.finished(json.loads(body)["data"])
            self._tag, self._value = headers["etag"], answered
        elif status == 304:
            self._outcome.not_modified += 1
        most = self._written.begun[self._question.record]
        if status not in {200, 304} or not least <= self._value <= most:
            told = f"{self._question.path}: {status}, {self._value}, of {least} to {most}"
            self._outcome.wrong.append(told)


class _Tally:
    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.wrong: list[str] = []
        self.not_modified = 0
        self.turned_away = 0


def run(redis_url: str, prefix: str, folder: Path, stack: ExitStack) -> Outcome:
    """Poll for :data:`SECONDS`."""
    services = [_Service(redis_url, prefix, folder / f"soak-{number}.log") for number in range(2)]
    for service in services:
        stack.callback(service.stop)
        service.start()
    return asyncio.run(_soak(StoreSettings(redis_url=redis_url, redis_prefix=prefix), services))


async def _soak(settings: StoreSettings, services: list[_Service]) -> Outcome:
    written, tally, rng = _Written(), _Tally(), random.Random(1)
    ports = [service.port for service in services]
    async with Connection(settings, timeout_s=30) as connection:
        writer = Writer(connection)
        for record in range(RECORDS):
            await writer.merge(batch_of([_begun(record), *(_detail(record, n) for n in range(DETAILS))]))
        questions = [question for record in range(RECORDS) for question in _questions(record)]
        pollers = [
            _Poller(questions[number % len(questions)], rng.sample(ports, 2), written, tally)
            for number in range(POLLERS)
        ]
        until = time.monotonic() + SECONDS
        writing = asyncio.create_task(_write(writer, written, rng, until))
        restarting = asyncio.create_task(_restart(services[1], until))
        measuring = asyncio.create_task(_measure(services[0]))
        await asyncio.gather(*(poller.run(rng.random() * EVERY_S, until) for poller in pollers))
        await writing
        early_mb, restarts = await measuring, await restarting
    latencies = sorted(tally.latencies)
    return Outcome(
        answers=len(latencies),
        not_modified=tally.not_modified,
        wrong=tally.wrong,
        turned_away=tally.turned_away,
        restarts=restarts,
        median_ms=latencies[len(latencies) // 2] * 1000,
        p99_ms=latencies[len(latencies) * 99 // 100] * 1000,
        rss_mb=(early_mb, services[0].rss_mb),
    )


async def _write(writer: Writer, written: _Written, rng: random.Random, until: float) -> None:
    while time.monotonic() < until:
        record = rng.randrange(RECORDS)
        number = written.begun[record]
        if number < DETAILS:
            written.begun[record] += 1
            await writer.merge(batch_of([_detail(record, number, finished=True)]))
            written.done[record] += 1
        await asyncio.sleep(WRITES_EVERY_S)


async def _restart(service: _Service, until: float) -> int:
    restarts = 0
    while time.monotonic() + 2 * RESTARTS_EVERY_S < until:
        await asyncio.sleep(RESTARTS_EVERY_S)
        await asyncio.to_thread(service.stop)
        await asyncio.to_thread(service.start)
        restarts += 1
    return restarts


async def _measure(service: _Service) -> float:
    await asyncio.sleep(SETTLED_S)
    return service.rss_mb


def _begun(record: int) -> RecordEvent:
    return RecordStarted(record_id=f"soak-{record}", task_key="soak", event_us=TimeUs(time.time_ns() // 1000))


def _detail(record: int, number: int, *, finished: bool = False) -> DetailEvent:
    facts: dict[str, Any] = {
        "record_id": f"soak-{record}",
        "detail_id": f"detail-{number}",
        "event_us": TimeUs(time.time_ns() // 1000),
        "local_cluster": "center",
        "remote_cluster": "edge",
        "repo_name": "npm-local",
        "repo_type": "NPM",
        "package_name": f"package-{number}",
    }
    return DetailFinished(**facts, status="SUCCESS") if finished else DetailStarted(**facts)
