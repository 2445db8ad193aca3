"""What dashboards ask beside pages, of a query service as it is deployed: when the first row, or the answer, is there.

Two records of a million details each, with few pairs and with many, and as many tasks as a tenth of that. Before each
question, what it is about changes, so that no answer is one that was kept.
"""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from msgspec.structs import replace

from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from replog.store.read.details.failure_reasons import EXAMINED
from replog.store.write.writer import Writer
from tests.benchmarks.asking import Clock, Times
from tests.benchmarks.page import BASE, started
from tests.benchmarks.redis_calls import CallRecorder
from tests.benchmarks.servers import pid_of, settle
from tests.benchmarks.store_data import (
    BATCH,
    RecordRow,
    Row,
    Shape,
    batch_of,
    chunks,
    event_of,
    record_event,
    record_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from replog.events import DetailEvent, RecordEvent

GOAL_MS = 50
#: Times that each question is asked.
TIMES = 100
#: One task for so many details; the first tasks have so many runs beside the one that each has.
_TASKS_PART, _OFTEN_RUN, _RUNS = 10, 200, 20
#: What tasks/runs is asked about: tasks, and runs of each.
_STRIPS = ((50, 20), (1000, 2))
_TEAMS = 97


class Figure(NamedTuple):
    """What one question took until its first row came, and Redis's longest call meanwhile."""

    what: str
    times: Times
    longest: str


class _Question(NamedTuple):
    """A path; ``change`` makes an event, another each time, after which it is asked for; ``check`` gets the answer.

    ``is_long``: of the answer, the first row is waited for, not the end.
    """

    what: str
    path: str
    change: Callable[[], RecordEvent | DetailEvent]
    check: Callable[[bytes], None]
    is_long: bool = False


def run(redis_url: str, prefix: str, details: int) -> list[Figure]:
    """Fill, and ask for everything."""
    asyncio.run(fill(redis_url, prefix, details))
    settle(redis_url)
    return measure(redis_url, prefix, details)


def measure(redis_url: str, prefix: str, details: int) -> list[Figure]:
    """Ask for everything; :func:`fill` was here before."""
    with started(
        redis_url, prefix, f"{BASE}/detail/page/{_shapes(details)[0].record_id}?pageNumber=1&pageSize=20"
    ) as service:
        return asyncio.run(_figures(redis_url, prefix, service.port, details))


async def fill(redis_url: str, prefix: str, details: int) -> None:
    """Write the records and tasks."""
    tasks = details // _TASKS_PART
    async with Connection(StoreSettings(redis_url=redis_url, redis_prefix=prefix), timeout_s=60) as connection:
        writer = Writer(connection)
        for events in (*map(_detail_events, _shapes(details)), _record_events(tasks)):
            for chunk in chunks(events, BATCH):
                await writer.merge(batch_of(chunk))


def _shapes(details: int) -> tuple[Shape, Shape]:
    clusters, repos = ([f"{kind}-{number:02}" for number in range(100)] for kind in ("cluster", "repo"))
    return Shape("few", details), Shape("many", details, clusters=(*clusters,), repos=(*repos,))


def _detail_events(shape: Shape) -> Iterator[DetailEvent]:
    for number, row in enumerate(shape.rows()):
        event = event_of(shape.record_id, row)
        yield replace(event, error_reason=_reason(number, row.detail_id)) if row.status == "FAILED" else event


def _reason(number: int, detail_id: str) -> str:
    """One of four reasons, three of which differ from one failure to the next."""
    digest = sha256(detail_id.encode()).hexdigest()
    return (
        f"checksum of the transferred artifact does not match: expected sha256 {digest}",
        f"HTTP 503 from the remote registry after 3 attempts (request 0x{digest[:12]})",
        f"connection reset by peer after {int(digest[:7], 16)} bytes",
        "quota of 500 GB exceeded",
    )[number % 4]


def _task_keys(tasks: int) -> list[str]:
    return [f"team-{number % _TEAMS}/task-{number:08}" for number in range(tasks)]


def _record_events(tasks: int) -> Iterator[RecordEvent]:
    for key, row in _runs(tasks):
        yield record_event(key, row)


def _runs(tasks: int) -> Iterator[tuple[str, RecordRow]]:
    """All records, each with its task."""
    keys = _task_keys(tasks)
    yield from zip(keys, record_rows(tasks), strict=True)
    for number, row in enumerate(record_rows(_OFTEN_RUN * _RUNS)):
        yield keys[number % _OFTEN_RUN], row._replace(record_id=f"again-{row.record_id}")


async def _figures(redis_url: str, prefix: str, port: int, details: int) -> list[Figure]:
    figures: list[Figure] = []
    async with Connection(StoreSettings(redis_url=redis_url, redis_prefix=prefix), timeout_s=60) as connection:
        writer = Writer(connection)
        for question in _questions(details):
            clock = Clock(pid_of(redis_url))
            with CallRecorder(redis_url) as recorder:
                for _ in range(TIMES):
                    await writer.merge(batch_of([question.change()]))
                    question.check(await _asked(port, question, clock))
            figures.append(Figure(question.what, clock.times, recorder.calls.longest_of_all))
    return figures


async def _asked(port: int, question: _Question, clock: Clock) -> bytes:
    """The body, or its first line where that is long; its time is noted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    clock.start()
    writer.write(f"GET {question.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    if question.is_long:
        # The size of the first chunk, and then its first row.
        await reader.readline()
        body = await reader.readline()
    else:
        body = await reader.read()
    clock.stop()
    writer.close()
    return body


def _questions(details: int) -> Iterator[_Question]:
    for shape in _shapes(details):
        yield from _of_record(shape)
    tasks = details // _TASKS_PART
    keys = _task_keys(tasks)
    for strips, last in _STRIPS:
        query = urlencode([*(("key", key) for key in keys[:strips]), ("last", last)])
        yield _Question(
            f"runs: {last} of {strips:,} tasks each",
            f"/replication/api/task/runs?{query}",
            lambda: _new_run(keys[0]),
            partial(_has_runs, strips),
        )
    owners = [key for key, row in _runs(tasks) if row.status == "RUNNING"]
    for prefix in ("", keys[1].partition("/")[0] + "/"):
        running = sum(key.startswith(prefix) for key in owners)
        query = urlencode({"silentForS": 900, "pageNumber": 1, "pageSize": 20, "prefix": prefix})
        yield _Question(
            f"silent: the first 20 of {running:,}{' of one team' if prefix else ''}",
            f"/replication/api/task/silent?{query}",
            lambda: _new_run(keys[0]),
            partial(_has_silent, running),
        )


def _of_record(shape: Shape) -> Iterator[_Question]:
    record_id, what = shape.record_id, f"{shape.pairs:,} pairs"

    def change() -> DetailEvent:
        now_ns = time.time_ns()
        row = Row(f"new-{now_ns}", now_ns // 1_000_000, "RUNNING", shape.clusters[0], shape.repos[0], "new")
        return event_of(record_id, row)

    def counted(body: bytes) -> None:
        assert sum(group["total"] for group in _data(body)) > shape.details

    for by in ("cluster", "pair"):
        yield _Question(f"counts by {by}, {what}", f"{BASE}/detail/counts/{record_id}?by={by}", change, counted)
    examined = min(EXAMINED, sum(row.status == "FAILED" for row in shape.rows()))
    yield _Question(
        f"reasons, {what}",
        f"{BASE}/detail/reasons/{record_id}",
        change,
        lambda body: _is(_data(body)["examined"], examined),
    )
    failed = {"status": "FAILED"}
    for filters in ({}, failed, {"remoteCluster": shape.clusters[-1], **failed}):
        query = urlencode({"format": "ndjson", **filters})
        shown = " and ".join(filters) or "no filter"
        yield _Question(
            f"export, {what}: {shown}",
            f"{BASE}/detail/export/{record_id}?{query}",
            change,
            partial(_meets, filters),
            is_long=True,
        )


def _has_runs(tasks: int, body: bytes) -> None:
    _is(len([task for task in _data(body) if task["runs"]]), tasks)


def _has_silent(running: int, body: bytes) -> None:
    _is((_data(body)["totalRecords"], len(_data(body)["records"])), (running, 20))


def _meets(filters: dict[str, str], body: bytes) -> None:
    row = json.loads(body)
    _is({name: row[name] for name in filters}, filters)


def _new_run(key: str) -> RecordEvent:
    now_ns = time.time_ns()
    return record_event(key, RecordRow(f"new-{now_ns}", now_ns // 1_000_000, "SUCCESS"))


def _data(body: bytes) -> Any:
    return json.loads(body)["data"]


def _is(found: object, expected: object) -> None:
    assert found == expected, (found, expected)
