"""What is stale, counted on a real Redis: as many as answers call so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from replog.store.client.command import Command
from replog.store.format.keys import BUCKETS, BucketKeys, RecordKeys
from replog.store.maintain.staleness import Pace, Staleness
from replog.store.write.writer import Writer
from tests.support.administered import AdministeredConnection
from tests.support.store.batches import batch_of
from tests.support.store.intercepted import Intercepted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from replog.store.client.connection import Connection
    from replog.store.client.pipelining import CommandRunner
    from tests.support.strategies import Event

pytestmark = pytest.mark.every_topology

NOW = datetime(2026, 1, 31, tzinfo=UTC)
STALE_AFTER_S = 900
PACE = Pace(rests=0)


class Store:
    """A store, and what is counted there at :data:`NOW`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.staleness = self.walking()

    async def write(self, *events: Event) -> None:
        await Writer(self.connection).merge(batch_of(list(events)))

    def walking(self, pace: Pace = PACE, over: CommandRunner | None = None) -> Staleness:
        """The count at this pace, over the connection or another runner of commands."""
        return Staleness(
            over or self.connection, stale_after_s=STALE_AFTER_S, clock=lambda: NOW.timestamp() + 0.0005, pace=pace
        )

    async def stale(self) -> tuple[int, int]:
        """How many records and details."""
        return await self.staleness.records(), await self.staleness.details()


@pytest.fixture
async def store(redis_url: str, redis_prefix: str) -> AsyncIterator[Store]:
    async with AdministeredConnection(redis_url, redis_prefix) as connection:
        yield Store(connection)


def event(kind: str, ms: int, record_id: str = "r", **fields: Any) -> Event:
    """An event so many milliseconds before a record that is silent since then becomes stale, negative: after."""
    moment = NOW - timedelta(seconds=STALE_AFTER_S, milliseconds=-ms)
    ids = {"taskKey": "t"} if kind.startswith("record") else {"detailId": "d"}
    return {
        "type": kind,
        "recordId": record_id,
        "eventTime": moment.isoformat(timespec="milliseconds"),
        **ids,
        **fields,
    }


async def test_of_an_empty_store_nothing_is_stale(store: Store) -> None:
    assert await store.stale() == (0, 0)


@pytest.mark.parametrize(("ms", "expected"), [(0, (0, 0)), (-1, (1, 1)), (-(10**9), (1, 1)), (1000, (0, 0))])
async def test_what_only_ever_started_is_stale_after_the_time_for_that(
    store: Store, ms: int, expected: tuple[int, int]
) -> None:
    await store.write(event("record.started", ms), event("detail.started", ms))
    assert await store.stale() == expected


async def test_a_record_and_its_details_are_heard_of_by_themselves(store: Store) -> None:
    await store.write(event("record.started", -9000), event("detail.started", -9000))
    await store.write(event("record.progressed", 10))
    assert await store.stale() == (0, 1)
    await store.write(event("detail.progressed", 10, progress={}))
    assert await store.stale() == (0, 0)


@pytest.mark.parametrize("status", ["SUCCESS", "FAILED"])
async def test_what_ends_is_not_stale_and_a_retry_may_be_again(store: Store, status: str) -> None:
    await store.write(event("record.started", -9000), event("detail.started", -9000))
    await store.write(event("record.finished", -8000, status=status), event("detail.finished", -8000, status=status))
    assert await store.stale() == (0, 0)
    await store.write(event("record.started", -7000, attempt=1), event("detail.started", -7000, attempt=1))
    assert await store.stale() == (1, 1)


async def test_details_without_their_record_are_counted(store: Store) -> None:
    await store.write(event("detail.started", -9000))
    assert await store.stale() == (0, 1)


async def test_all_pairs_of_many_records_are_walked_in_small_steps(store: Store) -> None:
    store.staleness = store.walking(Pace(step=3, rests=0))
    began = [(f"r{number}", f"d{i}", i) for number in range(20) for i in range(20)]
    for record_id, detail_id, i in began:
        place = {"remoteCluster": f"c{i % 3}", "repoName": f"repo{i % 2}"}
        # Half of them began in time; of the others one in five was heard of since.
        await store.write(
            event("detail.started", -9000 if i < 10 else 10, record_id, detailId=detail_id, **place),
            *([event("detail.progressed", 5, record_id, detailId=detail_id, progress={})] if i % 5 == 0 else []),
        )
    assert await store.stale() == (0, 20 * 8)


async def test_what_ended_between_two_steps_is_not_counted(store: Store) -> None:
    """The index by pair was read before, the detail is read after."""
    await store.write(event("detail.started", -9000))

    async def end() -> None:
        await store.write(event("detail.finished", 10, status="SUCCESS"))

    assert await store.staleness.details() == 1
    staleness = store.walking(over=Intercepted(store.connection, "ZRANGEBYLEX", after=end))
    assert await staleness.details() == 0


async def test_nothing_is_left_of_what_ended(store: Store) -> None:
    await store.write(event("record.started", 0), event("detail.started", 0))
    await store.write(event("record.finished", 1, status="SUCCESS"), event("detail.finished", 1, status="FAILED"))
    buckets = [BucketKeys(store.connection.prefix, number) for number in range(BUCKETS)]
    keys = [key for bucket in buckets for key in (bucket.running, bucket.unfinished)]
    assert sum(await store.connection.run([Command("EXISTS", [key]) for key in keys])) == 0


async def test_what_somebody_wrote_over_does_not_count_and_ends_nothing(store: Store) -> None:
    for number in range(5):
        await store.write(event("detail.started", -10_000_000, f"r{number}", detailId="d"))
    run, prefix = store.connection.run, store.connection.prefix
    keys = [RecordKeys(prefix, f"r{number}") for number in range(5)]
    await run([Command("SADD", [keys[0].bucket.unfinished], [b"\xff\xfe"])])
    await run([Command("HSET", [keys[1].details], ["d", b"x"])])
    await run([Command("DEL", [keys[2].details]), Command("SET", [keys[2].details], ["x"])])
    with capture_logs() as lines:
        assert (await store.stale())[1] == 3
    assert [line["event"] for line in lines] == ["sweep_refused"] * 3
