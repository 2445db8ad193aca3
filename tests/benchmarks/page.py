"""Pages of 20 that one worker answers in a second, beside the least and the simplest that would answer them.

The least is a bare Starlette route that asks Redis the same and sends what is stored; the simplest is FastAPI with
``response_model`` on the same details.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from redis import Redis

from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from replog.store.format.rows import raw_details
from replog.store.read.filters import NO_FILTER
from replog.store.read.reader import Reader
from replog.store.write.batch import Batch
from replog.store.write.writer import Writer
from replog_api.queries.render import Renderer
from replog_local.simulation import simulate
from tests.benchmarks.load import SECONDS, Load, measure
from tests.benchmarks.machine import pin
from tests.benchmarks.servers import Started
from tests.benchmarks.store_data import batch_of, record_event, record_rows
from tests.support.services.process import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

API_CORE = 0
ROWS = 20
BASE = "/replication/api/task/record"
#: A task with so many records.
TASK_KEY, TASK_RECORDS = "many-records", 2000
_BATCH = 5000


def fill(redis_url: str, prefix: str, *, records: int, details_per_record: int) -> list[str]:
    """Write the simulated stream, and the details of one record a second time as the plain service wants them.

    Returns the records' ids, that one first.
    """
    return asyncio.run(_fill(StoreSettings(redis_url=redis_url, redis_prefix=prefix), records, details_per_record))


async def _fill(settings: StoreSettings, records: int, details_per_record: int) -> list[str]:
    batch = Batch()
    async with Connection(settings, timeout_s=30) as connection:
        writer = Writer(connection)
        seen: dict[str, None] = {}
        for event in simulate(1, records=records, details_per_record=details_per_record):
            batch.add(event)
            seen[event.record_id] = None
            if len(batch) == _BATCH:
                await writer.merge(batch)
                batch = Batch()
        await writer.merge(batch)
        await writer.merge(batch_of(record_event(TASK_KEY, row) for row in record_rows(TASK_RECORDS)))
        record_ids = list(seen)
        await _copy_plainly(Reader(connection), settings, record_ids[0])
    return record_ids


async def _copy_plainly(reader: Reader, settings: StoreSettings, record_id: str) -> None:
    page = await reader.detail_page(record_id, NO_FILTER, 0, 1_000_000)
    assert page
    render = Renderer(ZoneInfo("UTC"), now_ms=0, stale_after_s=900).details
    with Redis.from_url(settings.redis_url) as redis:
        for detail in page.rows:
            # Of an array of one.
            value = render(raw_details([detail]))[1:-1]
            redis.hset(f"{settings.redis_prefix}-plain:details:{record_id}", detail.detail_id, value)
            redis.zadd(f"{settings.redis_prefix}-plain:time:{record_id}", {detail.detail_id: detail.read().start_ms})


def ours(redis_url: str, prefix: str, *paths: str, seconds: float = SECONDS) -> Load:
    """The query service as it is deployed, with one worker."""
    with started(redis_url, prefix, paths[0]) as service:
        return measure(service.port, paths, seconds=seconds)


@contextmanager
def started(redis_url: str, prefix: str, path: str, core: int | None = API_CORE) -> Iterator[Started]:
    """A query service that answers at ``path`` with 20 rows, on one core or on any."""
    port = free_port()
    environment = {
        "REPLOG_REDIS_URL": redis_url,
        "REPLOG_REDIS_PREFIX": prefix,
        "REPLOG_API_PORT": str(port),
        "REPLOG_LOG_LEVEL": "WARNING",
        "REPLOG_API_REQUESTS_PER_S": "0",
        "REPLOG_API_DRAIN_S": "0",
    }
    with _started([sys.executable, "-m", "replog_api.main"], environment, port, path, core) as pid:
        assert _rows(port, path) == ROWS
        yield Started(pid, port)


def plain(redis_url: str, prefix: str, *paths: str, seconds: float = SECONDS) -> Load:
    """FastAPI with ``response_model``."""
    with _beside("plain_api", redis_url, f"{prefix}-plain", paths[0]) as port:
        assert _rows(port, paths[0]) == ROWS
        return measure(port, paths, seconds=seconds)


def bare(redis_url: str, prefix: str, *paths: str, seconds: float = SECONDS) -> Load:
    """The bare Starlette route, on our own store."""
    with _beside("bare_api", redis_url, prefix, paths[0]) as port:
        return measure(port, paths, seconds=seconds)


@contextmanager
def _beside(module: str, redis_url: str, prefix: str, path: str) -> Iterator[int]:
    """The port of an application of these benchmarks, under uvicorn with the event loop and parser that ours has."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"tests.benchmarks.{module}:app", "--port", str(port)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    with _started(command, {"PLAIN_REDIS_URL": redis_url, "PLAIN_PREFIX": prefix}, port, path, API_CORE):
        yield port


@contextmanager
def _started(command: list[str], environment: dict[str, str], port: int, path: str, core: int | None) -> Iterator[int]:
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        assert wait_until(lambda: _answers(port, path), 30)
        if core is not None:
            pin(process.pid, core)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
            return True
    except OSError:
        return False


def _rows(port: int, path: str) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return len(json.load(answer)["data"]["records"])
