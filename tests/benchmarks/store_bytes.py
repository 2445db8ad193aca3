"""Bytes of Redis that a detail takes, indexes included, of the simulated stream."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from redis import Redis

from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from replog.store.write.checkpoints import Checkpoints
from replog.store.write.offsets import Span
from replog.store.write.writer import Writer
from replog_local.simulation import simulate
from tests.benchmarks.store_data import BATCH, batch_of, chunks, event_of
from tests.benchmarks.store_table import Line, Section

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replog.events import DetailEvent, RecordEvent
    from tests.benchmarks.store_data import WholeShape

GOAL = 800
DETAILS_A_RECORD = 1500
_PREFIX = "bytes"


async def measure(url: str, details: int) -> Section:
    """Write the simulated stream into an empty Redis and look at what it takes."""
    records = max(1, details // DETAILS_A_RECORD)
    events = simulate(1, records=records, details_per_record=DETAILS_A_RECORD)
    each, kinds, stored = await _written(url, events)
    title = f"4. Bytes of Redis a detail: {stored:,} details of the simulated stream, {DETAILS_A_RECORD:,} a record"
    return Section(title, [Line("used memory", f"{each:.0f}", str(GOAL), met=each <= GOAL), *_lines(kinds, stored)])


async def measure_whole(url: str, shape: WholeShape) -> Section:
    """The same of a record whose details have all names."""
    events = (event_of(shape.record_id, row) for row in shape.rows())
    each, kinds, stored = await _written(url, events)
    title = f"4b. Bytes of Redis a detail: {stored:,} with package, version, path, artifact and hash"
    return Section(title, [Line("used memory", f"{each:.0f}"), *_lines(kinds, stored)])


def _lines(kinds: Counter[str], stored: int) -> list[Line]:
    return [Line(f"{kind} keys", f"{taken / stored:.0f}") for kind, taken in kinds.most_common()]


async def _written(url: str, events: Iterable[RecordEvent | DetailEvent]) -> tuple[float, Counter[str], int]:
    """Bytes that a detail takes, bytes by kind of key, and details, after writing ``events`` into an empty Redis."""
    with Redis.from_url(url, socket_timeout=60) as redis:
        before = _used(redis)
        async with Connection(StoreSettings(redis_url=url, redis_prefix=_PREFIX), timeout_s=60) as connection:
            writer, checkpoints, offset = Writer(connection), Checkpoints(connection, group="bench", topic="bench"), 0
            await checkpoints.begin({0: offset})
            for chunk in chunks(events, BATCH):
                batch = batch_of(chunk)
                result = await writer.merge(batch)
                # As a collector does, which takes away what the merge was noted under.
                await checkpoints.advance({0: Span(offset, offset + len(chunk))}, [result])
                offset += len(chunk)
        used = _used(redis) - before
        kinds, stored = _by_kind(redis)
    return used / stored, kinds, stored


def _used(redis: Redis) -> int:
    # The client's and the append-only file's buffers are no part of what is kept.
    memory: dict[str, Any] = redis.info("memory")
    return int(memory["used_memory_dataset"]) + int(memory.get("overhead_db_hashtable_main", 0))


def _by_kind(redis: Redis) -> tuple[Counter[str], int]:
    kinds: Counter[str] = Counter()
    stored = 0
    for key in redis.scan_iter(match=f"{_PREFIX}:*", count=1000):
        kind = key.split(b":")[2].decode()
        kinds[kind] += redis.memory_usage(key, samples=0) or 0
        if kind == "details":
            stored += redis.hlen(key)
    return kinds, stored
