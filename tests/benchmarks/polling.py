"""What 200 pollers of one running record cost Redis: with the tags of what they have, and without.

Redis itself is the witness: the commands that it counted, the time that it spent in them, and the time of its process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, NamedTuple

import httpx
from redis import Redis

from replog.events import parse
from replog.settings import StoreSettings
from replog.store.batch import Batch
from replog.store.connection import Connection
from replog.store.writer import Writer
from tests.benchmarks.page import BASE, started

if TYPE_CHECKING:
    from collections.abc import Sequence

POLLERS = 200
#: Each poller asks so often, apart from the others.
EVERY_S = 1.0
#: The record changes so often.
CHANGES_EVERY_S = 2.0
SECONDS = 8.0
RECORD_ID, TASK_KEY, DETAILS = "polled", "polled-task", 500


class Cost(NamedTuple):
    """What Redis did for one way of polling, beside what it does while nobody polls."""

    polls: int
    not_modified: int
    commands: int
    command_ms: float
    process_ms: float


def run(redis_url: str, prefix: str) -> dict[str, tuple[Cost, Cost]]:
    """By path: the cost without tags, and with them; what the writer and an idle Redis cost is taken off."""
    asyncio.run(_write(redis_url, prefix, [{"type": "record.started"}, *map(_detail, range(DETAILS))]))
    window = "?pageNumber=1&pageSize=20"
    found = {}
    for path in (f"/detail/page/{RECORD_ID}{window}", f"/{RECORD_ID}", f"/page/{TASK_KEY}{window}"):
        with started(redis_url, prefix, f"{BASE}/detail/page/{RECORD_ID}{window}") as port:
            url = f"http://127.0.0.1:{port}{BASE}{path}"
            idle = asyncio.run(_poll(redis_url, prefix, url, pollers=0, with_tags=False))
            without = asyncio.run(_poll(redis_url, prefix, url, pollers=POLLERS, with_tags=False))
            with_tags = asyncio.run(_poll(redis_url, prefix, url, pollers=POLLERS, with_tags=True))
            found[path] = (_beside(without, idle), _beside(with_tags, idle))
    return found


def _beside(cost: Cost, idle: Cost) -> Cost:
    return Cost(
        cost.polls,
        cost.not_modified,
        cost.commands - idle.commands,
        cost.command_ms - idle.command_ms,
        cost.process_ms - idle.process_ms,
    )


def _detail(number: int, blobs: int = 0) -> dict[str, object]:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    progress = {"blob": {"total": 100, "success": blobs}}
    return {"type": "detail.progressed", "detailId": f"d{number:04}", "progress": progress, "eventTime": at}


async def _write(redis_url: str, prefix: str, events: Sequence[dict[str, object]]) -> None:
    batch = Batch()
    for event in events:
        ids = {"recordId": RECORD_ID, "eventTime": "2021-05-12T12:00:00Z"}
        ids |= {"taskKey": TASK_KEY} if event["type"] == "record.started" else {}
        batch.add(parse(json.dumps(ids | event).encode()))
    async with Connection(StoreSettings(redis_url=redis_url, redis_prefix=prefix), timeout_s=30) as connection:
        await Writer(connection).merge(batch)


async def _poll(redis_url: str, prefix: str, url: str, *, pollers: int, with_tags: bool) -> Cost:
    statuses: list[int] = []
    limits = httpx.Limits(max_connections=POLLERS)
    async with httpx.AsyncClient(limits=limits, timeout=30) as client:
        # What a poller gets first, it gets whole either way.
        first = await client.get(url)
        tag = first.headers["etag"] if with_tags else ""
        with Redis.from_url(redis_url) as redis:
            redis.config_resetstat()
            before_s = _process_seconds(redis)
            changes = asyncio.create_task(_change(redis_url, prefix))
            until = time.monotonic() + SECONDS
            polling = [_poller(client, url, statuses, tag, phase=i / POLLERS, until=until) for i in range(pollers)]
            await asyncio.gather(*polling, asyncio.sleep(SECONDS))
            changes.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await changes
            stats = redis.info("commandstats")
            process_s = _process_seconds(redis) - before_s
    # A script's own calls are counted beside it.
    commands = sum(stat["calls"] for name, stat in stats.items() if name in _SENT)
    spent_us = sum(stat["usec"] for name, stat in stats.items() if name in _SENT)
    return Cost(len(statuses), statuses.count(304), commands, spent_us / 1000, process_s * 1000)


_SENT = {"cmdstat_evalsha", "cmdstat_hmget", "cmdstat_hget"}


async def _poller(
    client: httpx.AsyncClient, url: str, statuses: list[int], tag: str, *, phase: float, until: float
) -> None:
    await asyncio.sleep(phase * EVERY_S)
    headers = {"If-None-Match": tag} if tag else {}
    while time.monotonic() < until:
        due = time.monotonic() + EVERY_S
        answer = await client.get(url, headers=headers)
        statuses.append(answer.status_code)
        if headers:
            headers["If-None-Match"] = answer.headers["etag"]
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def _change(redis_url: str, prefix: str) -> None:
    blobs = 0
    while True:
        await asyncio.sleep(CHANGES_EVERY_S)
        blobs += 1
        await _write(redis_url, prefix, [_detail(blobs % DETAILS, blobs)])


def _process_seconds(redis: Redis) -> float:
    cpu = redis.info("cpu")
    return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])
