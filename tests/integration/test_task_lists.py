"""Which lists of tasks a record is on, and what it costs to keep them, on a real Redis."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from random import Random
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from replog.errors import StoreUnavailable
from replog.store.client.command import Command
from replog.store.client.scripts import ENLIST, LEAVE, SETTLE, Script
from replog.store.format.keys import RecordKeys, task_keys
from replog.store.read.ownership import task_keys_of
from replog.store.read.reader import Reader
from replog.store.write.writer import Writer
from tests.support.administered import AdministeredConnection
from tests.support.store.batches import batch_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from replog.store.client.connection import Connection
    from replog.store.client.pipelining import CommandRunner
    from tests.support.strategies import Event

pytestmark = pytest.mark.every_topology

MOST = 16
#: Their order by code point is none by length, by alphabet or by UTF-16.
KEYS = [f"{letter}{number}" for letter in "aZ\uffff😀é" for number in range(8)]
SMALLEST = sorted(KEYS)[:MOST]


class Watched:
    """The store, with a count of calls by script; dies at the first call of ``dies_at``."""

    def __init__(self, connection: Connection, dies_at: Script | None = None) -> None:
        self.prefix = connection.prefix
        self.calls = Counter[str]()
        self.unsent: list[Command] = []
        self._connection = connection
        self._dies_at = dies_at

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        names = [call.command.name if isinstance(call.command, Script) else call.command for call in calls]
        if self._dies_at and self._dies_at.name in names:
            self.unsent += calls
            raise StoreUnavailable("connection", "dead")
        self.calls.update(names)
        return await self._connection.run(calls)


@pytest.fixture
async def connection(redis_url: str, redis_prefix: str) -> AsyncIterator[Connection]:
    async with AdministeredConnection(redis_url, redis_prefix) as connection:
        yield connection


def started(task_key: str, second: int = 0, kind: str = "record.started", **fields: Any) -> Event:
    moment = f"2021-05-12T12:00:{second:02}Z"
    return {"type": kind, "recordId": "r", "taskKey": task_key, "eventTime": moment, **fields}


async def write(connection: CommandRunner, *events: Event) -> None:
    await Writer(connection).merge(batch_of(events))


async def lists_of(connection: Connection, keys: Sequence[str] = KEYS) -> dict[str, tuple[Any, ...]]:
    """By task: which records it has, each with its state, as the list's three keys say it."""
    found = {}
    for key in keys:
        entries, times, statuses = task_keys(connection.prefix, key)
        state, ids, status = await connection.run(
            [
                Command("HGET", [entries], ["r"]),
                Command("ZRANGE", [times], [0, -1, "WITHSCORES"]),
                Command("ZRANGE", [statuses], [0, -1]),
            ]
        )
        if state or ids or status:
            found[key] = (state, tuple(map(str, ids)), tuple(status))
    return found


async def assert_listed_under_the_smallest(connection: Connection, keys: Sequence[str] = KEYS) -> None:
    wanted = sorted(keys)[:MOST]
    found = await lists_of(connection)
    assert [*found] == [key for key in KEYS if key in wanted]
    assert len({*found.values()}) == 1
    assert sorted(await task_keys_of(connection, "r")) == wanted
    for key in KEYS:
        page = await Reader(connection).record_page(key, "", 0, 10)
        assert (page.total if page else 0) == (key in wanted)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [1, 7, len(KEYS)])
async def test_a_record_is_listed_under_its_smallest_keys_in_whatever_order_they_come(
    connection: Connection, seed: int, size: int
) -> None:
    keys = Random(seed).sample(KEYS, len(KEYS))
    for i in range(0, len(keys), size):
        await write(connection, *map(started, keys[i : i + size]))
        await assert_listed_under_the_smallest(connection, keys[: i + size])
    await write(connection, *map(started, keys[::-1]))
    await assert_listed_under_the_smallest(connection)


async def test_the_greatest_first_and_the_smallest_first_end_in_the_same(connection: Connection) -> None:
    for key in sorted(KEYS, reverse=True):
        await write(connection, started(key))
    await assert_listed_under_the_smallest(connection)


async def test_an_event_costs_no_more_for_the_task_keys_before_it(connection: Connection) -> None:
    for i in range(0, 2000, 500):
        await write(connection, *(started(f"k{number:05}") for number in range(i, i + 500)))
    watched = Watched(connection)
    await write(watched, started("k00000", 1, "record.progressed"))
    assert watched.calls == {"merge": 1, "enlist": MOST, "settle": 1}
    assert len(await task_keys_of(connection, "r")) == MOST


async def test_what_changes_nothing_in_a_list_does_not_touch_it(connection: Connection) -> None:
    events = [started("a0"), started("a1"), started("a0", 9, "record.finished", status="SUCCESS")]
    watched = Watched(connection)
    writer = Writer(watched)
    await writer.merge(batch_of(events))
    assert watched.calls == {"merge": 1, "enlist": 2, "settle": 1}
    for again in (events, events[:1], [started("a0", 5, "record.progressed", totalBytes=3)]):
        watched.calls.clear()
        await writer.merge(batch_of(again))
        assert watched.calls == {"merge": 1}
    # Events that were merged come again only where something may have been lost.
    writer.renew()
    watched.calls.clear()
    await writer.merge(batch_of(events))
    assert watched.calls == {"merge": 1, "enlist": 2, "settle": 1}


async def test_keys_that_are_too_great_are_no_reason_to_touch_a_list(connection: Connection) -> None:
    watched = Watched(connection)
    writer = Writer(watched)
    await writer.merge(batch_of(map(started, SMALLEST)))
    watched.calls.clear()
    batch = batch_of([started("😀9")])
    result = await writer.merge(batch)
    # The key is the greatest of all facts, and wins a tie.
    assert [effect.name for _, effect in result.effects] == ["APPLIED"]
    assert watched.calls == {"merge": 1}
    assert await lists_of(connection, ["😀9"]) == {}


@pytest.mark.parametrize("dies_at", [ENLIST, LEAVE, SETTLE], ids=lambda script: script.name)
@pytest.mark.parametrize("late", [False, True])
async def test_a_writer_may_die_anywhere(connection: Connection, dies_at: Script, *, late: bool) -> None:
    """Its events come again to another; some of its calls may arrive long after that."""
    greatest = sorted(KEYS)[-MOST:]
    await write(connection, *map(started, greatest))
    dying = Watched(connection, dies_at)
    with pytest.raises(StoreUnavailable):
        await write(dying, *(started(key, 1) for key in SMALLEST))
    assert dying.unsent
    other = Writer(connection)
    await other.merge(batch_of([started(SMALLEST[0], 2, "record.progressed")]))
    if late:
        await connection.run(dying.unsent)
    await other.merge(batch_of([started(key, 1) for key in SMALLEST]))
    await assert_listed_under_the_smallest(connection)


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_slower_writer_does_not_put_back_what_has_left(connection: Connection, order: tuple[int, ...]) -> None:
    """It merged before smaller keys came, and enlists after that; then it dies, or goes on."""
    greatest = sorted(KEYS)[-MOST:]
    slow = Watched(connection, ENLIST)
    with pytest.raises(StoreUnavailable):
        await write(slow, *map(started, greatest))
    other = Writer(connection)
    parts = [SMALLEST[i::3] for i in order]
    for part in parts:
        await other.merge(batch_of(map(started, part)))
    await connection.run(slow.unsent)
    await other.merge(batch_of(map(started, greatest)))
    await assert_listed_under_the_smallest(connection, [*greatest, *SMALLEST])


async def test_a_record_of_before_there_was_a_limit_is_cut_to_it(connection: Connection) -> None:
    """And one of which it is not known whether its lists are up to date is brought up."""
    await write(connection, *map(started, SMALLEST))
    many = sorted(KEYS)[MOST : MOST + 10]
    key = RecordKeys(connection.prefix, "r").record
    await connection.run([Command("HDEL", [key], ["tasks", "lists"])])
    await write(connection, *map(started, many))
    assert {*await lists_of(connection)} == {*SMALLEST, *many}
    packed = msgpack.packb([key.encode() for key in (*SMALLEST, *many)], use_bin_type=False)
    await connection.run([Command("HSET", [key], ["tasks", packed])])
    await write(connection, started(SMALLEST[0]))
    await assert_listed_under_the_smallest(connection)
