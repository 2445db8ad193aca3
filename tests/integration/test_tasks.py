"""Tasks with their latest records on a real Redis, against the oracle: any filter, any page, whatever came how."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import cycle, product
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from replog.errors import StoreRefused
from replog.settings import StoreSettings
from replog.statuses import STATUS_LETTERS
from replog.store.client.command import Command
from replog.store.client.connection import Connection
from replog.store.client.scripts import DELIST
from replog.store.format.keys import BUCKETS, BucketKeys, bucket_of, task_keys
from replog.store.maintain.retention import Policy, Retention
from replog.store.read.tasks.task_pages import Tasks
from replog.store.read.tasks.tasks_by_activity import TASK_LIMITS, TaskLimits
from replog.store.write.writer import Writer
from tests.support.model import Model
from tests.support.services.redis import remove_keys
from tests.support.store.answers import shown
from tests.support.store.batches import batch_of
from tests.support.store.indexes import indexed, to_be_indexed
from tests.support.store.intercepted import Intercepted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.pipelining import CommandRunner
    from tests.support.strategies import Event

pytestmark = pytest.mark.every_topology

#: Some are prefixes of others, and one has none in common; all in few buckets or all over.
KEYS = ("a", "a/", "a/1", "a/2", "a/1/x", "ab", "é", "😀")
PREFIXES = ("", "a", "a/", "a/1", "é", "b", "a/1\x00", "x" * 200)
STATUSES = ("", "RUNNING", "SUCCESS", "FAILED")
START = datetime(2021, 5, 12, 12, tzinfo=UTC)


#: Limits so small that few tasks take every way there is.
SMALL = TaskLimits(near=3, near_guess=3, entries_a_call=2, matches_in_head=1, narrow=5, calls_at_once=3)


def at(ms: int) -> str:
    """So many milliseconds after the start."""
    return (START + timedelta(milliseconds=ms)).isoformat()


def of_record(kind: str, record_id: str, task_key: str, ms: int, **fields: Any) -> Event:
    """An event of a record itself."""
    return {"type": f"record.{kind}", "recordId": record_id, "taskKey": task_key, "eventTime": at(ms), **fields}


def some_tasks(chance: Random, tasks: int, *, within_ms: int) -> list[Event]:
    """Events of tasks with up to three records each, in any order; many are active at the same time."""
    events: list[Event] = []
    for number in range(tasks):
        key = f"{chance.choice(('', 'team/', 'team/a/', 'other/'))}{number}"
        for run in range(chance.choice((1, 1, 2, 3))):
            begun = chance.randrange(within_ms)
            events.append(of_record("started", f"{key}:{run}", key, begun))
            ended = chance.choice((None, "SUCCESS", "FAILED"))
            if ended:
                ms = begun + chance.randrange(within_ms)
                events.append(of_record("finished", f"{key}:{run}", key, ms, status=ended))
    return chance.sample(events, len(events))


async def write(connection: Connection, events: Sequence[Event], size: int = 50) -> None:
    for i in range(0, len(events), size):
        await Writer(connection, clock=START.timestamp).merge(batch_of(events[i : i + size]))


async def assert_pages(
    connection: Connection,
    model: Model,
    prefix: str,
    status: str,
    cuts: Sequence[Any],
    *,
    limits: TaskLimits = TASK_LIMITS,
) -> None:
    """Require these pages, given as offset and limit, to be what the oracle says."""
    tasks, rows = Tasks(connection, limits), model.tasks(prefix, status)
    for offset, limit in cuts:
        page = await tasks.page(prefix, status, offset, limit)
        assert (page.total, shown(page.rows)) == (len(rows), rows[offset : offset + limit]), (prefix, status, offset)


events_of_records = st.lists(
    st.builds(
        lambda kind, record, key, ms, attempt, status: (
            of_record(kind, f"r{record}", key, ms, attempt=attempt) | ({"status": status} if kind == "finished" else {})
        ),
        st.sampled_from(("started", "progressed", "finished")),
        st.integers(0, 5),
        st.sampled_from(KEYS),
        st.integers(0, 9),
        st.integers(0, 1),
        st.sampled_from(STATUSES[2:]),
    ),
    min_size=1,
    max_size=20,
)


@given(events_of_records, st.integers(1, 5), st.randoms(use_true_random=False))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
async def test_any_order_duplication_and_batching_ends_in_the_same_index(
    redis_url: str, redis_prefix: str, stream: list[Event], size: int, chance: Random
) -> None:
    """Which is that of the contract, for every filter; a record may be of several tasks."""
    replayed = stream + chance.choices(stream, k=len(stream))
    chance.shuffle(replayed)
    remove_keys(redis_url, redis_prefix)
    async with Connection(StoreSettings(redis_url=redis_url, redis_prefix=redis_prefix), timeout_s=5) as connection:
        await write(connection, replayed, size)
        model = Model(stream)
        assert await indexed(connection) == to_be_indexed(model)
        for prefix, status in product(PREFIXES, STATUSES):
            await assert_pages(connection, model, prefix, status, [(0, 1000), (1, 2)])
        keys = chance.choices((*KEYS, "unknown"), k=9)
        latest = await Tasks(connection).latest(keys)
        assert (latest.total, shown(latest.rows)) == (9, model.latest(keys))


@pytest.mark.parametrize(
    ("tasks", "within_ms"), [(300, 40), (300, 10**9), (40, 1)], ids=["ties", "apart", "all at once"]
)
async def test_every_page_of_every_filter(connection: Connection, tasks: int, within_ms: int) -> None:
    """First to past the end, of few matches and many, by every way."""
    events = some_tasks(Random(tasks + within_ms), tasks, within_ms=within_ms)
    await write(connection, events)
    model = Model(events)
    for prefix, status in product(("", "team/", "team/a/", "other/1", "team/a/17", "none"), STATUSES):
        total = len(model.tasks(prefix, status))
        cuts = [(offset, 7) for offset in range(0, total + 7, 13)] + [(0, 1000), (3, 1), (2**31 * 1000, 1000)]
        await assert_pages(connection, model, prefix, status, cuts, limits=SMALL)


async def test_pages_at_the_limits_as_they_are(connection: Connection) -> None:
    """More tasks than one look shows, near and far."""
    events = some_tasks(Random(5), 3000, within_ms=10**6)
    await write(connection, events, 1000)
    model = Model(events)
    for prefix, status in product(("", "team/"), ("", "SUCCESS")):
        total = len(model.tasks(prefix, status))
        cuts = [(0, 20), (0, 1000), (500, 20), (total // 2, 20), (total - 5, 20), (total, 20)]
        await assert_pages(connection, model, prefix, status, cuts)


@pytest.mark.parametrize(("near", "near_guess"), [(3, 20), (3, 10**6), (3, 0)], ids=["mostly", "always", "never"])
async def test_pages_behind_a_guessed_place(connection: Connection, near: int, near_guess: int) -> None:
    """Whether the guess will do or not, also at the ends, and where most buckets have nothing of a status."""
    events = some_tasks(Random(11), 400, within_ms=500)
    await write(connection, events, 400)
    model, limits = Model(events), TaskLimits(near=near, near_guess=near_guess)
    for prefix, status in product(("", "team/"), STATUSES):
        total = len(model.tasks(prefix, status))
        cuts = [(offset, 5) for offset in range(0, total + 5, 17)] + [(total - 1, 5)]
        await assert_pages(connection, model, prefix, status, cuts, limits=limits)


@pytest.mark.parametrize("command", ["ZRANGE", "ZLEXCOUNT", "ZREVRANGEBYLEX"])
@pytest.mark.parametrize("status", ["", "SUCCESS"])
@pytest.mark.parametrize("near_guess", [0, 10**6])
async def test_a_page_while_tasks_move_is_a_stretch_of_the_order(
    connection: Connection, command: str, status: str, near_guess: int
) -> None:
    """New and moved tasks, at any step: nothing in between is missed or there twice."""
    events = some_tasks(Random(13), 600, within_ms=500)
    await write(connection, events, 300)
    keys = Model(events).task_keys
    moved = [*Random(1).sample(sorted(keys), 40), *(f"new/{number}" for number in range(40))]
    later = [
        of_record("finished", f"{key}:later", key, 10_000 + number, status="SUCCESS")
        for number, key in enumerate(moved)
    ]

    async def move() -> None:
        if later:
            events.extend(part := [later.pop() for _ in range(min(20, len(later)))])
            await write(connection, part)

    tasks = Tasks(Intercepted(connection, command, before=move), TaskLimits(near=3, near_guess=near_guess))
    page = await tasks.page("", status, 90, 10)
    found = [row["taskKey"] for row in shown(page.rows)]
    assert len(set(found)) == len(found) == 10
    order = [row["taskKey"] for row in Model(events).tasks("", status)]
    # What moved meanwhile may or may not be on the page, where it was or where it is.
    still = [key for key in order if key not in moved]
    unmoved = [key for key in found if key in still]
    begin = still.index(unmoved[0])
    assert unmoved == still[begin : begin + len(unmoved)]


async def test_tasks_by_prefix_that_end_meanwhile_are_each_met_once(connection: Connection) -> None:
    """They come to another status between the reads of these two, bucket by bucket."""
    keys = [f"team/{number:02}" for number in range(60)]
    await write(connection, [of_record("started", f"{key}:1", key, number) for number, key in enumerate(keys)], 60)
    by_bucket = {number: [key for key in keys if bucket_of(key) == number] for number in range(BUCKETS)}
    # Half of them end: one that is met twice takes the place of another.
    rounds = iter([[key for key in of_bucket if key in keys[::2]] for of_bucket in by_bucket.values() if of_bucket])
    # Each bucket is read in as many calls: its RUNNING tasks, then the others.
    statuses = cycle(STATUS_LETTERS)

    async def end_some() -> None:
        if next(statuses) == "SUCCESS":
            ends = next(rounds, [])
            await write(
                connection, [of_record("finished", f"{key}:1", key, 5000, status="SUCCESS") for key in ends], 60
            )

    limits = TaskLimits(matches_in_head=0, calls_at_once=1)
    page = await Tasks(Intercepted(connection, "ZREVRANGEBYLEX", before=end_some), limits).page("team/", "", 0, 100)
    assert page.total == 60
    assert sorted(row["taskKey"] for row in shown(page.rows)) == keys


async def test_a_store_that_is_emptied_while_a_page_is_read_has_none(connection: Connection) -> None:
    """Between the head and the guess."""
    await write(connection, some_tasks(Random(17), 100, within_ms=500), 100)
    indexes = [BucketKeys(connection.prefix, number).tasks for number in range(BUCKETS)]

    async def empty() -> None:
        await connection.run([Command("UNLINK", [key]) for key in indexes])

    page = await Tasks(Intercepted(connection, "ZRANGE", before=empty), SMALL).page("", "", 50, 10)
    assert page.rows == []


async def test_a_skewed_order_is_read_too(connection: Connection) -> None:
    """All old tasks are in one bucket, all new ones in others; also by a prefix that they all share."""
    limits, cuts = TaskLimits(near=10, near_guess=10), [*((at, 20) for at in range(0, 3000, 333)), (2960, 100)]
    keys = [f"k{number}" for number in range(3000)]
    buckets = [task_keys(connection.prefix, key)[0].split(b":")[1] for key in keys]
    old = Counter(buckets).most_common(1)[0][0]
    events = [
        of_record("started", key, key, number if bucket == old else 10**6 + number)
        for number, (key, bucket) in enumerate(zip(keys, buckets, strict=True))
    ]
    await write(connection, events, 1000)
    model = Model(events)
    for prefix in ("", "k"):
        await assert_pages(connection, model, prefix, "", cuts, limits=limits)


async def test_two_writers_at_once_end_in_the_same_index(connection: Connection) -> None:
    """Each with the same events in another order, so that they are at the same tasks at the same time."""
    events = some_tasks(Random(7), 30, within_ms=1000)
    orders = [Random(seed).sample(events, len(events)) for seed in range(3)]
    await asyncio.gather(*(write(connection, order, 7) for order in orders))
    assert await indexed(connection) == to_be_indexed(Model(events))


async def test_an_older_record_does_not_move_its_task(connection: Connection) -> None:
    """Whatever comes of it; the latest does, also when it is tried again."""
    latest = [of_record("started", "new", "t", 10), of_record("finished", "new", "t", 20, status="FAILED")]
    await write(connection, [of_record("started", "other", "u", 30), of_record("started", "old", "t", 0), *latest])
    await write(connection, [of_record("finished", "old", "t", 50, status="SUCCESS")])
    assert await order_of(connection) == [("u", "RUNNING"), ("t", "FAILED")]
    await write(connection, [of_record("progressed", "new", "t", 40, attempt=1)])
    assert await order_of(connection) == [("t", "RUNNING"), ("u", "RUNNING")]


async def order_of(connection: Connection, prefix: str = "") -> list[tuple[str, str]]:
    page = await Tasks(connection).page(prefix, "", 0, 1000)
    assert page.total == len(page.rows)
    return [(task["taskKey"], task["record"]["status"]) for task in shown(page.rows)]


DAY_MS = 86_400_000
#: Of three days of which FAILED is kept; SUCCESS one.
POLICY = Policy(days=1, failed_days=3)


async def sweep(connection: CommandRunner, days: float) -> int:
    """Retention comes by so many days after the start."""
    now = START + timedelta(days=days)
    return await Retention(connection, POLICY, clock=now.timestamp).sweep()


async def test_a_task_goes_with_its_last_record(connection: Connection) -> None:
    """And is back to its next latest one before; a replay changes nothing."""
    events = [
        of_record("finished", "old", "t", 0, status="FAILED"),
        of_record("finished", "new", "t", 10, status="SUCCESS"),
        of_record("finished", "other", "u", 5, status="FAILED"),
    ]
    await write(connection, events)
    assert await order_of(connection) == [("t", "SUCCESS"), ("u", "FAILED")]
    assert await sweep(connection, 2) == 1
    for replayed in ([], events, events[::-1]):
        await write(connection, replayed)
        assert await order_of(connection) == [("u", "FAILED"), ("t", "FAILED")]
        assert await indexed(connection) == to_be_indexed(Model([events[0], events[2]]))
    assert await sweep(connection, 4) == 2
    await write(connection, events)
    assert await order_of(connection) == []
    assert await indexed(connection) == set()
    back = of_record("started", "new", "t", 4 * DAY_MS, attempt=1)
    await write(connection, [back])
    assert await indexed(connection) == to_be_indexed(Model([back]))


async def test_a_removed_record_that_is_listed_yet_is_passed_over(connection: Connection) -> None:
    """The sweep could not change the lists."""

    async def refuse() -> None:
        raise StoreRefused("not now")

    many = [of_record("finished", f"r{number:02}", "t", 10 + number, status="SUCCESS") for number in range(20)]
    kept = of_record("finished", "kept", "t", 0, status="FAILED")
    gone = of_record("finished", "gone", "u", 0, status="SUCCESS")
    await write(connection, [*many, kept, gone])
    with capture_logs() as lines:
        assert await sweep(Intercepted(connection, DELIST, before=refuse), 2) == 21
    assert {line["event"] for line in lines} == {"sweep_refused"}
    latest = await Tasks(connection).latest(["t", "u"])
    assert shown(latest.rows) == Model([kept]).latest(["t", "u"])
    page = await Tasks(connection).page("", "", 0, 10)
    assert (page.total, shown(page.rows)) == (2, Model([kept]).tasks())
    assert await sweep(connection, 2) == 0
    assert await indexed(connection) == to_be_indexed(Model([kept]))


async def test_a_list_that_was_there_before_the_index_gets_into_it(connection: Connection) -> None:
    """With whatever comes of its task next, also if that is a replay; removing its records is no trouble."""
    events = some_tasks(Random(3), 20, within_ms=1000)
    await write(connection, events)
    indexes = [BucketKeys(connection.prefix, number).tasks for number in range(BUCKETS)]
    await connection.run([Command("UNLINK", [key]) for key in indexes])
    lists = [task_keys(connection.prefix, key)[0] for key in Model(events).task_keys]
    await connection.run([Command("HDEL", [key], ["\0"]) for key in lists])
    assert await order_of(connection) == []
    await write(connection, events[:1])
    assert [key for key, _ in await order_of(connection)] == [events[0]["taskKey"]]
    await write(connection, events)
    assert await indexed(connection) == to_be_indexed(Model(events))
    await connection.run([Command("HDEL", [key], ["\0"]) for key in lists])
    await connection.run([Command("UNLINK", [key]) for key in indexes])
    await sweep(connection, 5)
    assert await indexed(connection) == set()
