"""What 200 pollers of one running record cost Redis: with the tags of what they have, and without.

Redis itself tells: the commands that it counted, the time that it spent in them, and the time of its process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, NamedTuple

from redis import Redis

from replog.events import parse
from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from replog.store.write.batch import Batch
from replog.store.write.writer import Writer
from tests.benchmarks.keep_alive import KeepAlive
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
        with started(redis_url, prefix, f"{BASE}/detail/page/{RECORD_ID}{window}") as service:
            asked = service.port, f"{BASE}{path}"
            idle = asyncio.run(_poll(redis_url, prefix, asked, pollers=0, with_tags=False))
            without = asyncio.run(_poll(redis_url, prefix, asked, pollers=POLLERS, with_tags=False))
            with_tags = asyncio.run(_poll(redis_url, prefix, asked, pollers=POLLERS, with_tags=True))
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


async def _poll(redis_url: str, prefix: str, asked: tuple[int, str], *, pollers: int, with_tags: bool) -> Cost:
    port, path = asked
    statuses: list[int] = []
    # What a poller gets first, it gets whole either way.
    first = await KeepAlive(port).get(path)
    tag = first.headers["etag"] if with_tags else ""
    with Redis.from_url(redis_url) as redis:
        redis.config_resetstat()
        before_s = _process_seconds(redis)
        changes = asyncio.create_task(_change(redis_url, prefix))
        until = time.monotonic() + SECONDS
        clients = [KeepAlive(port) for _ in range(pollers)]
        polling = [
            _poller(client, path, statuses, tag, phase=i / POLLERS, until=until) for i, client in enumerate(clients)
        ]
        await asyncio.gather(*polling, asyncio.sleep(SECONDS))
        for client in clients:
            client.drop()
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


async def _poller(client: KeepAlive, path: str, statuses: list[int], tag: str, *, phase: float, until: float) -> None:
    await asyncio.sleep(phase * EVERY_S)
    while time.monotonic() < until:
        due = time.monotonic() + EVERY_S
        answer = await client.get(path, tag)
        statuses.append(answer.status)
        if tag:
            tag = answer.headers["etag"]
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
