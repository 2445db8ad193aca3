"""Copies of a store: to another prefix, another Redis, a file and back; under writes, cut off and run again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from replog.errors import FatalError, StoreUnavailable
from replog.settings import StoreSettings
from replog.store.client.command import Command
from replog.store.format.keys import BUCKETS, BucketKeys, RecordKeys
from replog.store.maintain.retention import Policy, Retention
from replog.store.write.checkpoints import Checkpoints
from replog.store.write.writer import Limits, Writer
from replog_repair.copying.copier import Copied, copy
from replog_repair.copying.file_ends import FileDestination, FileOrigin
from replog_repair.copying.places import copy_between
from replog_repair.copying.store_ends import CopyLostError, StoreDestination, StoreOrigin
from replog_repair.stores import NamedStore, store_of
from tests.support.administered import AdministeredConnection
from tests.support.model import Model
from tests.support.services.redis import remove_keys
from tests.support.services.redis_acl import url_as_operator
from tests.support.store.answers import answers, expected
from tests.support.store.batches import batch_of, many_events
from tests.support.verification import (
    assert_answers_as_the_oracle,
    copy_to,
    merge_while_both_are_written,
    origin_of,
    unexpected,
    write,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from replog.store.client.connection import Connection
    from replog.store.client.pipelining import CommandRunner
    from replog_repair.copying.chunks import Chunk
    from tests.support.services.redis import RedisServer
    from tests.support.services.redis_cluster import RedisCluster
    from tests.support.strategies import Event

pytestmark = [pytest.mark.every_topology, pytest.mark.as_operator]

GROUP, TOPIC = "g", "t"
#: When records of 2021-01-01 are written, and when retention removes them; it forgets that later.
WRITTEN_S, SWEPT_S = 1_609_459_300, 1_610_500_000
#: One call takes all details of a test.
_ALL_AT_ONCE = Limits(entities_a_call=100)


def files_in(folder: Path) -> list[Path]:
    return [*folder.iterdir()]


def wide_record(details: int) -> list[Event]:
    """A record of details, each of some kilobytes."""
    moment = {"recordId": "wide", "eventTime": "2021-05-12T12:19:08Z"}
    started = {**moment, "type": "record.started", "taskKey": "t1"}
    return [
        started,
        *({**moment, "type": "detail.started", "detailId": f"d{i}", "path": "x" * 4000} for i in range(details)),
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_a_copy_answers_as_the_store(connection: Connection, copied: Connection, seed: int) -> None:
    events = [*many_events(random.Random(seed), 400), *wide_record(60)]
    await write(connection, events)
    result = await copy_to(copied, origin_of(connection))
    model = Model(events)
    assert result == Copied(sum(1 + len(model.details(i)) for i in model.record_ids), 0, 0)
    await assert_answers_as_the_oracle(copied, events)


async def test_a_second_copy_changes_nothing(connection: Connection, copied: Connection) -> None:
    events = many_events(random.Random(7), 300)
    await write(connection, events)
    await copy_to(copied, origin_of(connection))
    keys = [RecordKeys(copied.prefix, record_id).record for record_id in Model(events).record_ids]
    versions = [Command("HGET", [key], ["v"]) for key in keys]
    before = await copied.run(versions)
    result = await copy_to(copied, origin_of(connection))
    assert result.resumed_buckets == 0
    assert await copied.run(versions) == before
    await assert_answers_as_the_oracle(copied, events)


async def test_two_stores_become_one(connection: Connection, copied: Connection) -> None:
    """Each has some of the events, and both are written while one is merged into the other."""
    events = many_events(random.Random(3), 900)
    await merge_while_both_are_written(connection, copied, events)
    await assert_answers_as_the_oracle(copied, events)


class Dying:
    """A store that does not answer after so many calls."""

    def __init__(self, connection: Connection, runs: int) -> None:
        self.prefix = connection.prefix
        self._connection = connection
        self._runs = runs

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        self._runs -= 1
        if self._runs < 0:
            raise StoreUnavailable("connection", "dead")
        return await self._connection.run(calls)


async def test_a_copy_that_is_cut_off_anywhere_goes_on(connection: Connection, copied: Connection) -> None:
    events = many_events(random.Random(5), 300)
    await write(connection, events)
    resumed = []
    for runs in range(70, 1000, 23):
        try:
            result = await copy_to(copied, origin_of(connection), Dying(copied, runs))
        except StoreUnavailable:
            continue
        resumed.append(result.resumed_buckets)
        break
    assert resumed
    assert resumed[0] > 0
    await assert_answers_as_the_oracle(copied, events)
    assert not any(await copied.run([Command("GET", [BucketKeys(copied.prefix, i).copied]) for i in range(BUCKETS)]))


async def test_notes_of_another_copy_do_not_count(connection: Connection, copied: Connection) -> None:
    await write(connection, many_events(random.Random(5), 100))
    with pytest.raises(StoreUnavailable):
        await copy_to(copied, origin_of(connection), Dying(copied, 110))
    other = StoreOrigin(connection, identity="another", unreadable=unexpected)
    assert (await copy_to(copied, other)).resumed_buckets == 0


class WrittenMeanwhile(StoreOrigin):
    """A store that gets more events, and later checkpoints, once half of its buckets are read."""

    def __init__(self, connection: CommandRunner, meanwhile: list[Event], checkpoint: int) -> None:
        super().__init__(connection, identity="store", unreadable=unexpected)
        self._runner = connection
        self._meanwhile = meanwhile
        self._checkpoint = checkpoint

    async def chunks(self, bucket: int) -> AsyncIterator[Chunk]:
        async for chunk in super().chunks(bucket):
            yield chunk
        if bucket == BUCKETS // 2:
            await write(self._runner, self._meanwhile)
            await Checkpoints(self._runner, group=GROUP, topic=TOPIC).begin({0: self._checkpoint})


async def test_a_collector_goes_on_from_what_the_store_had_before_it_was_read(
    connection: Connection, copied: Connection
) -> None:
    """A checkpoint says that everything before it is there; what came meanwhile is partly missing, and comes again."""
    events = [{**event, "recordId": f"r{i % 40}"} for i, event in enumerate(many_events(random.Random(9), 400))]
    first, second = events[:200], events[200:]
    await write(connection, first)
    await Checkpoints(connection, group=GROUP, topic=TOPIC).begin({0: 200, 1: 7})
    await copy_to(copied, WrittenMeanwhile(connection, second, 400))
    checkpoints = Checkpoints(copied, group=GROUP, topic=TOPIC)
    reached = (await checkpoints.read([0]))[0]
    assert reached == 200
    # Not all of it was copied: a later checkpoint would lose events.
    model = Model(events)
    assert await answers(copied, model) != expected(model)
    await write(copied, events[reached:])
    await assert_answers_as_the_oracle(copied, events)


async def test_a_collector_that_starts_before_the_copy_is_complete_reads_everything(
    connection: Connection, copied: Connection
) -> None:
    await write(connection, many_events(random.Random(9), 100))
    await Checkpoints(connection, group=GROUP, topic=TOPIC).begin({0: 100})
    with pytest.raises(StoreUnavailable):
        await copy_to(copied, origin_of(connection), Dying(copied, 110))
    assert await Checkpoints(copied, group=GROUP, topic=TOPIC).read([0]) == {0: None}


async def test_later_checkpoints_of_the_destination_stay(connection: Connection, copied: Connection) -> None:
    await Checkpoints(connection, group=GROUP, topic=TOPIC).begin({0: 100, 1: 100, 2: 100})
    await Checkpoints(copied, group=GROUP, topic=TOPIC).begin({0: 99, 1: 101})
    await copy_to(copied, origin_of(connection))
    assert await Checkpoints(copied, group=GROUP, topic=TOPIC).read([0, 1, 2]) == {0: 100, 1: 101, 2: 100}


async def test_a_destination_that_may_have_lost_something_gets_no_checkpoints(
    connection: Connection, copied: Connection
) -> None:
    await Checkpoints(connection, group=GROUP, topic=TOPIC).begin({0: 100})
    numbers = iter([1, 2])
    end = StoreDestination(copied, origin="o", epoch=lambda: next(numbers))
    with pytest.raises(CopyLostError, match="again"):
        await copy(origin_of(connection), end, progress=lambda *_: None)
    assert await Checkpoints(copied, group=GROUP, topic=TOPIC).read([0]) == {0: None}
    assert (await copy_to(copied, origin_of(connection))).resumed_buckets == 0


def dated(record_id: str, at: str, **fields: Any) -> Event:
    return {"type": "record.started", "recordId": record_id, "taskKey": "t", "eventTime": at, **fields}


async def test_what_retention_removed_stays_removed(connection: Connection, copied: Connection) -> None:
    """Unless the destination has it: it goes there when its time comes."""
    old = [dated("gone", "2021-01-01T00:00:00Z"), dated("there", "2021-01-01T00:00:00Z")]
    await Writer(connection, clock=lambda: WRITTEN_S).merge(batch_of(old))
    assert await Retention(connection, Policy(10, 10), clock=lambda: SWEPT_S).sweep() == 2
    await write(copied, [dated("there", "2021-01-01T00:00:00Z")])
    assert (await copy_to(copied, origin_of(connection))).removed == 2
    await write(copied, [*old, dated("gone", "2020-01-01T00:00:00Z")])
    await assert_answers_as_the_oracle(copied, [dated("there", "2021-01-01T00:00:00Z")])
    # And what is newer than the removal makes it anew.
    again = dated("gone", "2021-02-01T00:00:00Z")
    await write(copied, [again])
    await assert_answers_as_the_oracle(copied, [dated("there", "2021-01-01T00:00:00Z"), again])


async def test_a_record_that_came_back_is_copied_over_its_removal(connection: Connection, copied: Connection) -> None:
    """With all its details, also those whose own events are older than the removal."""
    old = dated("r", "2021-01-01T00:00:00Z")
    await Writer(connection, clock=lambda: WRITTEN_S).merge(batch_of([old]))
    await Retention(connection, Policy(10, 10), clock=lambda: SWEPT_S).sweep()
    assert (await copy_to(copied, origin_of(connection))).removed == 1
    back = [
        {"type": "detail.started", "recordId": "r", "detailId": f"d{i}", "eventTime": at}
        for i, at in enumerate(["2020-01-01T00:00:00Z"] * 60 + ["2021-02-01T00:00:00Z"])
    ]
    await Writer(connection, limits=_ALL_AT_ONCE).merge(batch_of(back))
    await copy_to(copied, origin_of(connection))
    await assert_answers_as_the_oracle(copied, back)


async def test_what_cannot_be_read_is_told_and_everything_else_copied(
    connection: Connection, copied: Connection
) -> None:
    events = many_events(random.Random(1), 200)
    await write(connection, events)
    detail, record = RecordKeys(connection.prefix, "broken"), RecordKeys(connection.prefix, "r0").bucket.due
    await write(
        connection,
        [{"type": "detail.started", "recordId": "broken", "detailId": "d", "eventTime": "2021-05-12T12:00:00Z"}],
    )
    await connection.run(
        [Command("HSET", [detail.details], ["d", "nonsense"]), Command("ZADD", [record], [1, b"\xff"])]
    )
    told: list[bytes] = []
    await copy_to(copied, origin_of(connection, lambda key, _: told.append(key)))
    assert {*told} == {detail.details, record}
    model = Model(events)
    assert await answers(copied, model) == expected(model)


async def test_a_file_takes_a_store_and_gives_it_back(
    connection: Connection, copied: Connection, tmp_path: Path
) -> None:
    events = [*many_events(random.Random(2), 400), *wide_record(60)]
    await write(connection, events)
    await Checkpoints(connection, group=GROUP, topic=TOPIC).begin({0: 400})
    path = tmp_path / "backup.replog"
    with FileDestination(path) as file:
        written = await copy(origin_of(connection), file, progress=lambda *_: None)
    with FileOrigin(path) as file:
        assert await copy_to(copied, file) == written
    assert files_in(tmp_path) == [path]
    await assert_answers_as_the_oracle(copied, events)
    assert await Checkpoints(copied, group=GROUP, topic=TOPIC).read([0]) == {0: 400}


async def test_a_broken_file_is_refused_before_anything_is_merged(connection: Connection, tmp_path: Path) -> None:
    """Wherever it is cut off or changed; the message names the place."""
    await write(connection, many_events(random.Random(2), 60))
    path = tmp_path / "backup.replog"
    with FileDestination(path) as file:
        await copy(origin_of(connection), file, progress=lambda *_: None)
    whole = path.read_bytes()
    broken = tmp_path / "broken.replog"
    chance = random.Random(4)
    places = [0, 1, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(60))]
    changed = [whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :] for at in places]
    for data in (*changed, *(whole[:at] for at in places), whole + b"\0", b""):
        broken.write_bytes(data)
        with pytest.raises(FatalError, match=r"broken\.replog is no whole copy of a store: at byte \d+: "):
            FileOrigin(broken)


async def test_a_cut_off_backup_leaves_the_one_before(connection: Connection, tmp_path: Path) -> None:
    path = tmp_path / "backup.replog"
    path.write_bytes(b"before")
    with pytest.raises(StoreUnavailable), FileDestination(path) as file:
        await copy(origin_of(Dying(connection, 100)), file, progress=lambda *_: None)
    assert files_in(tmp_path) == [path]
    assert path.read_bytes() == b"before"


async def test_the_places_of_a_copy_are_two(redis_url: str, redis_prefix: str, tmp_path: Path) -> None:
    store = NamedStore(redis_url, redis_prefix)
    for places in ((store, store), (tmp_path / "a", tmp_path / "b")):
        with pytest.raises(FatalError):
            await copy_between(*places, progress=lambda *_: None, unreadable=unexpected)


@pytest.fixture
def other(redis_server: RedisServer, redis_cluster: RedisCluster, topology: str) -> Iterator[NamedStore]:
    """A store in the other topology."""
    url = redis_server.url if topology == "cluster" else redis_cluster.url
    yield NamedStore(url_as_operator(url), "replog-test-other")
    remove_keys(url, "replog-test-other")


async def test_a_store_moves_between_one_redis_and_a_cluster(
    connection: Connection, redis_url: str, other: NamedStore
) -> None:
    events = many_events(random.Random(8), 400)
    await write(connection, events)
    seen: list[tuple[int, int]] = []
    source = store_of(f"#{connection.prefix}", StoreSettings(redis_url=url_as_operator(redis_url)))
    copied = await copy_between(
        source, other, progress=lambda done, total: seen.append((done, total)), unreadable=unexpected
    )
    assert seen[0] == (0, copied.rows)
    assert seen[-1] == (copied.rows, copied.rows)
    async with AdministeredConnection(other.redis_url, other.prefix) as there:
        await assert_answers_as_the_oracle(there, events)
