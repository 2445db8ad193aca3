"""What users notice, side by side: ours, the simplest alternative, PostgreSQL, and the limit, of one run.

The *limit* sends the same commands to Redis without any rule: what is stored is written again entry by entry, the rows
of a page are read by ids that are known already, a route sends what is stored as it is, and a collector's batches are
merged that were decoded and folded before.
"""

from __future__ import annotations

import os
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal, NamedTuple

import uvloop

from replog.settings import StoreSettings
from replog.store.client.command import Command
from replog.store.client.connection import Connection
from replog.store.format.keys import RecordKeys
from replog.store.write.writer import Writer
from replog_local.simulation import simulate
from tests.benchmarks import collect, page
from tests.benchmarks.asking import Clock, Ours, ask
from tests.benchmarks.plain_store import PlainStore
from tests.benchmarks.servers import SERVERS_CORE, pid_of
from tests.benchmarks.store_data import BATCH, Known, Shape, batch_of, chunks
from tests.benchmarks.store_questions import of_many, of_wide
from tests.benchmarks.store_writes import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.asking import Answer
    from tests.benchmarks.postgres import Postgres
    from tests.benchmarks.store_questions import Question
    from tests.support.services.kafka import Broker

#: Repositories of the record of many pairs, of so many details one.
_PAIR_DETAILS, _MOST_PAIRS = 20, 10_000
#: Pages of one kind that are asked for at least, where there are as many.
_LEAST = 20
#: Entries in one command of the limit's.
_ENTRIES = 100
#: Seconds that one store may take for one kind of page.
_BUDGET_S = 10.0


@dataclass(frozen=True)
class Sizes:
    """How much is measured: runs of the stream and details of each, details of a stored record, seconds of requests."""

    records: int = 40
    details: int = 1500
    stored: int = 1_000_000
    fresh: int = 100_000
    seconds: float = 5.0
    #: One of so many pages is asked for.
    share: int = 1


QUICK = Sizes(records=8, stored=40_000, fresh=20_000, seconds=1.5, share=10)


class Servers(NamedTuple):
    """What all is measured on; ``prefix`` is of keys, and the topic. ``postgres`` is None where it is left out."""

    broker: Broker
    redis_url: str
    prefix: str
    postgres: Postgres | None


class Row(NamedTuple):
    """One figure of each; None where one has none. More is better of a rate, less of a time in ms."""

    what: str
    unit: Literal["/s", "ms"]
    ours: float
    simplest: float | None = None
    postgres: float | None = None
    limit: float | None = None

    def times_as_fast(self, other: float | None) -> float | None:
        """How many times as fast ours is as ``other``."""
        if other is None:
            return None
        return self.ours / other if self.unit == "/s" else other / self.ours


def run(servers: Servers, sizes: Sizes, say: Callable[[str], None]) -> list[Row]:
    """Measure all."""
    rows = [_collecting(servers, sizes)]
    say(f"{rows[0].what}: done")
    rows += _requests(servers.redis_url, f"{servers.prefix}.pages", sizes)
    say("requests: done")
    with _measured_itself(), closing(PlainStore(servers.redis_url, f"{servers.prefix}.plain-store:")) as plain:
        return rows + uvloop.run(_store(servers, plain, sizes, say))


@contextmanager
def _measured_itself() -> Iterator[None]:
    """Let this program have the core of what is measured; else it asks and looks, beside the servers."""
    beside = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {1 - SERVERS_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, beside)


def _collecting(servers: Servers, sizes: Sizes) -> Row:
    broker, redis_url, topic, _ = servers
    total = collect.publish(broker.address, topic, records=sizes.records, details_per_record=sizes.details)
    return Row(
        f"collecting {total:,} events",
        "/s",
        collect.ours(broker.address, topic, redis_url, f"{topic}.collected", total).per_second,
        simplest=collect.plain(broker.address, topic, redis_url, f"{topic}.plain", total).per_second,
        limit=_merged_a_second(redis_url, f"{topic}.merged", sizes),
    )


def _merged_a_second(redis_url: str, prefix: str, sizes: Sizes) -> float:
    """Events a second of batches that are folded before, one after the other."""
    with _measured_itself():
        return uvloop.run(_merged(redis_url, prefix, sizes))


async def _merged(redis_url: str, prefix: str, sizes: Sizes) -> float:
    events = list(simulate(1, records=sizes.records, details_per_record=sizes.details))
    seconds = 0.0
    async with Connection(StoreSettings(redis_url=redis_url, redis_prefix=prefix), timeout_s=60) as connection:
        writer = Writer(connection)
        for chunk in chunks(events, BATCH):
            batch = batch_of(chunk)
            begun = time.perf_counter()
            await writer.merge(batch)
            seconds += time.perf_counter() - begun
    return len(events) / seconds


def _requests(redis_url: str, prefix: str, sizes: Sizes) -> list[Row]:
    record_ids = page.fill(redis_url, prefix, records=sizes.records, details_per_record=sizes.details)
    one = [f"/detail/page/{record_ids[0]}?pageNumber=3&pageSize=20"]
    of_details = [
        f"/detail/page/{record_id}?pageNumber={number}&pageSize=20"
        for number in range(1, sizes.details // page.ROWS)
        for record_id in record_ids
    ]
    of_records = [
        f"/page/{page.TASK_KEY}?pageNumber={number}&pageSize=20" for number in range(1, page.TASK_RECORDS // page.ROWS)
    ]

    def row(what: str, paths: list[str], simplest: float | None) -> Row:
        ours = page.ours(redis_url, prefix, *(page.BASE + path for path in paths), seconds=sizes.seconds)
        bare = page.bare(redis_url, prefix, *paths, seconds=sizes.seconds)
        return Row(what, "/s", ours.per_second, simplest=simplest, limit=bare.per_second)

    # It keeps no answers: one page or another each time is the same to it. It has no records of tasks.
    simplest = page.plain(redis_url, prefix, *one, seconds=sizes.seconds).per_second
    return [
        row("one page of details, requested again", one, simplest),
        row("another page of details each time", of_details, simplest),
        row("another page of records each time", of_records, None),
    ]


async def _store(servers: Servers, plain: PlainStore, sizes: Sizes, say: Callable[[str], None]) -> list[Row]:
    _, redis_url, prefix, postgres = servers
    wide = Known(Shape("wide", sizes.stored))
    pairs = min(_MOST_PAIRS, sizes.stored // _PAIR_DETAILS)
    repos = tuple(f"repo-{number}" for number in range(pairs))
    many = Known(Shape("many", sizes.stored, clusters=("eu",), repos=repos))
    async with Connection(
        StoreSettings(redis_url=redis_url, redis_prefix=f"{prefix}.store"), timeout_s=60
    ) as connection:
        for known in (wide, many):
            await fill(connection, known.shape.record_id, known.noted(known.shape.rows()))
            plain.add(known.shape.record_id, known.shape.rows())
            if postgres:
                postgres.add(known.shape.record_id, known.shape.rows())
        if postgres:
            postgres.index()
        say(f"two records of {sizes.stored:,} details are stored")
        rows = [await _writing(connection, plain, postgres, Shape("fresh", sizes.fresh))]
        ours = Ours(connection, pid_of(redis_url))
        for question in (*of_wide(wide), *of_many(many)):
            step = max(1, min(sizes.share, len(question.queries) // _LEAST))
            some = question._replace(queries=question.queries[::step])
            rows.append(await _asking(ours, plain, postgres, some))
            say(f"{question.what}: done")
    return rows


async def _writing(connection: Connection, plain: PlainStore, postgres: Postgres | None, shape: Shape) -> Row:
    details = shape.details
    merged_s = sum(await fill(connection, shape.record_id, shape.rows()))
    return Row(
        f"{details:,} new details, folded before",
        "/s",
        details / merged_s,
        simplest=details / plain.add(shape.record_id, shape.rows()),
        postgres=details / postgres.merge(shape.record_id, shape.rows()) if postgres else None,
        limit=details / await _written_again_s(connection, shape.record_id),
    )


async def _written_again_s(connection: Connection, record_id: str) -> float:
    """Seconds in which what is stored of a record's details is written to other keys, entry by entry, without rules."""
    keys, copy = RecordKeys(connection.prefix, record_id), RecordKeys(connection.prefix, f"{record_id}-again")
    (values, *indexes) = await connection.run(
        [Command("HGETALL", [keys.details])]
        + [Command("ZRANGE", [index], (0, -1)) for index in (keys.by_status, keys.by_pair, keys.by_name)]
    )
    calls = [Command("HSET", [copy.details], some) for some in chunks(values, 2 * _ENTRIES)]
    for index, members in zip((copy.by_status, copy.by_pair, copy.by_name), indexes, strict=True):
        calls += [
            Command("ZADD", [index], [*chain.from_iterable((b"0", member) for member in some)])
            for some in chunks(members, _ENTRIES)
        ]
    # As many at once as ours sends of one batch.
    at_once = max(1, len(calls) * BATCH // (len(values) // 2))
    begun = time.perf_counter()
    for some in chunks(calls, at_once):
        await connection.run(some)
    return time.perf_counter() - begun


async def _asking(ours: Ours, plain: PlainStore, postgres: Postgres | None, question: Question) -> Row:
    times, answers = await ask(ours, question, budget_s=_BUDGET_S)
    return Row(
        question.what,
        "ms",
        times.p50,
        simplest=await _others_ms(plain, question),
        postgres=await _others_ms(postgres, question) if postgres else None,
        limit=await _rows_ms(ours, question.record_id, answers),
    )


async def _others_ms(store: PlainStore | Postgres, question: Question) -> float:
    times, _ = await ask(store, question, budget_s=_BUDGET_S / 2)
    return times.p50


async def _rows_ms(ours: Ours, record_id: str, answers: list[Answer]) -> float:
    """The median time in which the rows of these pages are read."""
    details, clock = RecordKeys(ours.connection.prefix, record_id).details, Clock(ours.pid)
    for answer in answers:
        clock.start()
        await ours.connection.run([Command("HMGET", [details], answer.ids)] if answer.ids else [])
        clock.stop()
    return clock.times.p50
