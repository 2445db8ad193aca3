"""Erasures in the store on a real Redis: what goes, what stays, what comes back, and what comes too late."""

from __future__ import annotations

from itertools import permutations
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replog.errors import StoreUnavailable
from replog.records import Effect
from replog.settings import StoreSettings
from replog.store.client.command import Command
from replog.store.client.connection import Connection
from replog.store.client.scripts import ENLIST, RELIST, RELISTED, Script
from replog.store.format.keys import BUCKETS, BucketKeys, RecordKeys
from replog.store.maintain.restoring import Restored, Restoring
from replog.store.maintain.retention import Policy, Retention
from replog.store.read.erasures import forgotten
from replog.store.read.reader import Reader
from replog.store.write.writer import Writer
from replog_api.queries.render import overview
from tests.support.model import Model, _us
from tests.support.services.redis import remove_keys
from tests.support.store.answers import RENDERER, loads, shown_details, without_stale
from tests.support.store.batches import batch_of
from tests.support.store.indexes import assert_indexes_agree
from tests.support.strategies import RECORD_IDS, TASK_KEYS, Event, streams_with_erasures
from tests.support.topic import KnownEvents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.pipelining import CommandRunner

pytestmark = pytest.mark.every_topology

DAY_S = 86_400
#: How often later events are read again before all is merged.
RESTORING = 0.3


class Dying:
    """The store, for a writer that dies at the first call of ``script`` and leaves it ``unsent``."""

    def __init__(self, connection: Connection, script: Script) -> None:
        self.prefix = connection.prefix
        self.unsent: list[Command] = []
        self._connection = connection
        self._script = script

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        if any(call.command is self._script for call in calls):
            self.unsent += calls
            raise StoreUnavailable("connection", "dead")
        return await self._connection.run(calls)


def at(second: int) -> str:
    return f"2021-05-12T12:00:{second:02}Z"


def record(phase: str, second: int, **fields: Any) -> Event:
    return {"type": f"record.{phase}", "recordId": "r", "taskKey": "t", "eventTime": at(second), **fields}


def detail(phase: str, second: int, **fields: Any) -> Event:
    return {"type": f"detail.{phase}", "recordId": "r", "detailId": "d", "eventTime": at(second), **fields}


def erased(second: int) -> Event:
    return {"type": "record.erased", "recordId": "r", "eventTime": at(second)}


async def write(connection: CommandRunner, *events: Event) -> dict[tuple[str, Effect], int]:
    return (await Writer(connection).merge(batch_of(events))).effects


async def restore(connection: CommandRunner, *topic: Event) -> Restored:
    return await Restoring(connection, KnownEvents(topic), ahead_s=0).restore()


async def answers(connection: CommandRunner, record_id: str) -> dict[str, Any]:
    """What the store answers of the record and its details."""
    reader = Reader(connection)
    found, rolled_up = await reader.record(record_id), await reader.overview(record_id)
    return {
        "run": found and without_stale([loads(RENDERER.run(found))["record"]])[0],
        "overview": rolled_up and loads(overview(rolled_up)),
        "details": without_stale(shown_details([row async for step in reader.details(record_id) for row in step])),
    }


async def lists(connection: CommandRunner, *task_keys: str) -> dict[str, list[dict[str, Any]]]:
    reader = Reader(connection)
    return {
        key: without_stale([loads(RENDERER.record(row)) async for step in reader.records(key) for row in step])
        for key in task_keys
    }


def expected(events: Sequence[Event], record_id: str) -> dict[str, Any]:
    model = Model([*events])
    return {
        "run": model.record(record_id) if record_id in model._records else None,
        "overview": model.overview(record_id),
        "details": model.details(record_id),
    }


async def assert_answers_are_the_oracles(connection: Connection, events: Sequence[Event]) -> None:
    for record_id in RECORD_IDS:
        assert await answers(connection, record_id) == expected(events, record_id)
        await assert_indexes_agree(connection, record_id)
    model = Model([*events])
    assert await lists(connection, *TASK_KEYS) == {key: model.records(key) for key in TASK_KEYS}


@given(st.lists(streams_with_erasures, min_size=1, max_size=4), st.integers(0, 2**32))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
async def test_any_order_split_and_repetition_ends_in_the_oracles_state(
    redis_url: str, redis_prefix: str, batches: list[list[Event]], seed: int
) -> None:
    """Two collectors have parts of their own, in any order, and some twice; later events are read again at any time."""
    chance = Random(seed)
    remove_keys(redis_url, redis_prefix)
    async with Connection(StoreSettings(redis_url=redis_url, redis_prefix=redis_prefix), timeout_s=5) as connection:
        writers, topic = [Writer(connection), Writer(connection)], [event for batch in batches for event in batch]
        told = [*batches, *chance.sample(batches, chance.randint(0, len(batches)))]
        chance.shuffle(told)
        for batch in told:
            await chance.choice(writers).merge(batch_of(chance.sample(batch, len(batch))))
            if chance.random() < RESTORING:
                await restore(connection, *topic)
        # What was restored may have been erased again since.
        await restore(connection, *topic)
        await assert_answers_are_the_oracles(connection, topic)


async def test_a_later_event_comes_back_that_an_erased_one_had_superseded(connection: Connection) -> None:
    """A register keeps one candidate: that of the higher attempt, which is the earlier one here."""
    first, second = detail("finished", 9, status="SUCCESS"), detail("finished", 5, attempt=2, status="FAILED")
    for order in permutations([first, second, erased(7)]):
        for event in order:
            await write(connection, event)
        await restore(connection, first, second, erased(7))
        assert await answers(connection, "r") == expected([first, second, erased(7)], "r")
        (row,) = (await answers(connection, "r"))["details"]
        assert row["status"] == "SUCCESS"


async def test_nothing_is_left_of_a_record_without_later_events(connection: Connection) -> None:
    """No key names it, but the note up to when it is erased."""
    await write(connection, record("started", 1), *[detail("started", 2, detailId=f"d{i}") for i in range(50)])
    await write(connection, erased(3))
    assert await answers(connection, "r") == {"run": None, "overview": None, "details": []}
    assert await lists(connection, "t") == {"t": []}
    of_record = RecordKeys(connection.prefix, "r")
    assert await connection.run([Command("EXISTS", [key]) for key in of_record.all]) == [0] * 6
    bucket = of_record.bucket
    listed = [bucket.due, bucket.running, bucket.unfinished, bucket.relisting, bucket.restoring, bucket.tasks]
    assert await connection.run([Command("EXISTS", [key]) for key in listed]) == [0] * 6
    assert await restore(connection) == (0, 0)


async def test_each_event_is_counted_once_by_what_it_did(connection: Connection) -> None:
    before, later = detail("started", 1), detail("started", 5)
    assert await write(connection, before, erased(2), erased(3), erased(3), later, erased(1)) == {
        ("detail.started", Effect.SUPERSEDED): 1,
        ("detail.started", Effect.APPLIED): 1,
        # Two moved it on; one came twice, and one was older.
        ("record.erased", Effect.APPLIED): 2,
        ("record.erased", Effect.DUPLICATE): 1,
        ("record.erased", Effect.SUPERSEDED): 1,
    }
    assert await write(connection, before, later, erased(3), erased(2)) == {
        ("detail.started", Effect.SUPERSEDED): 1,
        ("detail.started", Effect.DUPLICATE): 1,
        ("record.erased", Effect.DUPLICATE): 1,
        ("record.erased", Effect.SUPERSEDED): 1,
    }


async def test_the_topic_is_read_only_where_something_may_be_later(connection: Connection) -> None:
    topic = KnownEvents([record("progressed", 9)])
    restoring = Restoring(connection, topic, ahead_s=5)
    await write(connection, record("started", 1), erased(2))
    await restoring.restore()
    assert topic.asked == []
    await write(connection, record("progressed", 9), erased(8))
    assert await answers(connection, "r") == expected([record("progressed", 9)], "r")
    await write(connection, erased(9))
    assert await restoring.restore() == (1, 0)
    assert (await answers(connection, "r"))["run"] is None
    await write(connection, record("started", 20))
    await write(connection, erased(10))
    assert await restoring.restore() == (1, 0)
    assert await restoring.restore() == (0, 0)
    # An event of the same millisecond may be later, too.
    assert topic.asked == [_us(at(9)) // 1000 - 5000, _us(at(10)) // 1000 - 5000]


@pytest.mark.parametrize("script", [RELIST, RELISTED], ids=lambda script: script.name)
async def test_who_dies_while_it_erases_leaves_the_rest_to_the_next(connection: Connection, script: Script) -> None:
    await write(connection, record("started", 1))
    with pytest.raises(StoreUnavailable):
        await write(Dying(connection, script), erased(2))
    until_us = {"r": _us(at(2))}
    assert await forgotten(connection, until_us) == set()
    await write(connection, erased(2))
    assert await forgotten(connection, until_us) == {"r"}
    assert await forgotten(connection, {"r": _us(at(3))}) == set()
    assert await lists(connection, "t") == {"t": []}


async def test_a_slow_writer_puts_nothing_back_into_a_list(connection: Connection) -> None:
    """It merged the record before the erasure, and lists it after it was made anew, with a smaller start."""
    slow = Dying(connection, ENLIST)
    with pytest.raises(StoreUnavailable):
        await write(slow, record("started", 1, attempt=3), record("finished", 2, attempt=3, status="FAILED"))
    await write(connection, erased(5))
    await connection.run(slow.unsent)
    assert await lists(connection, "t") == {"t": []}
    await write(connection, record("progressed", 6))
    await connection.run(slow.unsent)
    assert await lists(connection, "t") == {"t": Model([record("progressed", 6)]).records("t")}


async def test_a_record_made_anew_is_listed_under_keys_that_had_been_pushed_out(connection: Connection) -> None:
    many = [record("progressed", 1, taskKey=f"t{i:02}") for i in range(17)]
    await write(connection, *many[1:])
    await write(connection, many[0])
    assert await lists(connection, "t16") == {"t16": []}
    await write(connection, erased(1), record("progressed", 2, taskKey="t16"))
    assert [row["id"] for row in (await lists(connection, "t16"))["t16"]] == ["r"]


async def test_an_erasure_is_remembered_as_long_as_a_removal_and_while_the_record_changes(
    connection: Connection,
) -> None:
    """Then both of its keys go; so does what lists have noted, after a day."""
    now_s = 1_700_000_000.0
    writer, policy = Writer(connection, clock=lambda: now_s), Policy(days=10, failed_days=1)
    await writer.merge(batch_of([record("started", 1), erased(2)]))
    now_s += 15 * DAY_S
    await writer.merge(batch_of([record("started", 3)]))
    for days, kept in ((19.9, True), (20.1, False)):
        sweep_s = now_s + days * DAY_S
        await Retention(connection, policy, clock=lambda sweep_s=sweep_s: sweep_s).sweep()  # type: ignore[misc]
        bucket = RecordKeys(connection.prefix, "r").bucket
        found = await connection.run([Command("EXISTS", [key]) for key in (bucket.erased, bucket.erased_at)])
        assert {*found} == ({1} if kept else {0})
    buckets = [BucketKeys(connection.prefix, number) for number in range(BUCKETS)]
    assert sum(await connection.run([Command("EXISTS", [bucket.listed]) for bucket in buckets])) == 0
