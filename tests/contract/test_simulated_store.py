"""The simulated Redis and Redis give the same replies to writers, checkpoints and readers, and hold the same."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replog.errors import StoreRewound
from replog.settings import StoreSettings
from replog.store.client.command import Command
from replog.store.client.connection import Connection
from replog.store.format.keys import BUCKETS, BucketKeys
from replog.store.read.as_of import read_as_of
from replog.store.read.filters import NO_FILTER
from replog.store.read.queries import StoreQueries
from replog.store.write.checkpoints import Checkpoints
from replog.store.write.offsets import Moment, Reached, Span
from replog.store.write.writer import Limits, Writer
from tests.simulation.keyspace import KeyspaceConnection
from tests.support.store.batches import batch_of, forget
from tests.support.strategies import RECORD_IDS, TASK_KEYS, streams_with_erasures

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner

#: What happened to one store: replies, errors and answers, in order.
Course = list[Any]

spans = st.dictionaries(st.integers(0, 2), st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=3)
moments = st.dictionaries(st.integers(0, 2), st.tuples(st.integers(0, 6), st.integers(1, 9)), max_size=3)
steps = st.lists(st.tuples(streams_with_erasures, spans, moments, st.integers(1, 3)), min_size=1, max_size=4)


async def course_of(connection: CommandRunner, script: list[Any]) -> Course:
    """Merge each batch, and move checkpoints on behind it, with what all of that answers."""
    numbers = count()
    course: Course = []
    writer = Writer(
        connection,
        clock=lambda: 2e9,
        limits=Limits(entities_a_call=2, calls_at_once=2),
        outbox=True,
        new_id=lambda: f"{next(numbers):032x}",
    )
    checkpoints = Checkpoints(connection, group="g", topic="t")
    await checkpoints.begin({0: 0, 1: 0})
    for number, (events, moved, reached, partitions) in enumerate(script):
        result = await writer.merge(batch_of(events))
        course.append((result.effects, sorted(result.transitions), sorted(result.calls.items())))
        told = Reached(partitions, number, {of: Moment(*moment) for of, moment in reached.items()})
        try:
            over = {of: Span(begin, begin + size) for of, (begin, size) in moved.items()}
            await checkpoints.advance(over, [result], told)
        except StoreRewound:
            course.append("rewound")
        course += [await checkpoints.read([0, 1, 2]), await read_as_of(connection)]
    return course + await answers_of(connection)


async def answers_of(connection: CommandRunner) -> Course:
    """What readers find of all records and tasks that streams speak of."""
    queries = StoreQueries(connection)
    found: Course = []
    for record_id in RECORD_IDS:
        record = await queries.records.record(record_id)
        found.append(record and (record.version, record.data.read()))
        found.append(await queries.records.overview(record_id))
        page = await queries.records.detail_page(record_id, NO_FILTER, 0, 10)
        found.append(page and (page.data.total, [repr(row.read()) for row in page.data.rows]))
    for task_key in TASK_KEYS:
        page_of = await queries.tasks.record_page(task_key, "", 0, 10)
        found.append((page_of.data.total, [row.read() for row in page_of.data.rows]))
    return found


@pytest.mark.every_topology
@given(steps)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
async def test_both_go_the_same_way(redis_url: str, redis_prefix: str, script: list[Any]) -> None:
    settings_ = StoreSettings(redis_url=redis_url, redis_prefix=redis_prefix)
    async with Connection(settings_, timeout_s=5) as connection:
        await forget(connection)
        await forget_all(connection)
        assert await course_of(KeyspaceConnection(redis_prefix), script) == await course_of(connection, script)


async def forget_all(connection: Connection) -> None:
    """Remove what a run before has left in the buckets themselves."""
    kinds = (
        *("tasks", "moved", "due", "running", "unfinished", "applied", "as_of", "removed", "claimed", "left", "erased"),
        *("erased_at", "relisting", "restoring", "listed", "listed_at", "layout", "copied", "outbox", "leaving"),
    )
    keys = [[getattr(BucketKeys(connection.prefix, number), kind) for kind in kinds] for number in range(BUCKETS)]
    await connection.run([Command("UNLINK", of_one) for of_one in keys])
