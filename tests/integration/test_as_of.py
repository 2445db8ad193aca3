"""As of when the store is, on a real Redis: with the checkpoints, in one step, in each bucket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgpack
import pytest
from structlog.testing import capture_logs

from replog.errors import StoreRewound
from replog.store.client.command import Command
from replog.store.format.keys import BUCKETS, BucketKeys
from replog.store.read.as_of import UNKNOWN_MS, read_as_of
from replog.store.write.checkpoints import Checkpoints
from replog.store.write.offsets import Moment, Reached, Span
from tests.support.query_service import path_of, serving

if TYPE_CHECKING:
    import httpx

    from replog.store.client.connection import Connection
    from tests.support.query_service import QueryService

pytestmark = pytest.mark.every_topology

DEADLINE_S = 10.0
#: The header where the time is not known.
EPOCH = "1970-01-01T00:00:00.000Z"

#: Two collectors have these partitions, one each.
ONE, TWO = {0: Span(10, 10)}, {1: Span(5, 5)}


def reached(*, partitions: int = 2, asked_ms: int = 9000, **at: tuple[int, int]) -> Reached:
    """By partition, as ``p0=(offset, ms)``, what was reached."""
    return Reached(partitions, asked_ms, {int(name[1:]): Moment(*moment) for name, moment in at.items()})


async def both_tell(checkpoints: Checkpoints, first_ms: int, second_ms: int) -> None:
    await checkpoints.advance(ONE, (), reached(p0=(10, first_ms), asked_ms=first_ms))
    await checkpoints.advance(TWO, (), reached(p1=(5, second_ms), asked_ms=second_ms))


def buckets(connection: Connection) -> list[BucketKeys]:
    return [BucketKeys(connection.prefix, number) for number in range(BUCKETS)]


async def test_a_store_that_nobody_wrote_to_is_of_no_time(connection: Connection) -> None:
    assert await read_as_of(connection) == UNKNOWN_MS


async def test_it_is_the_least_over_all_partitions(connection: Connection, checkpoints: Checkpoints) -> None:
    await checkpoints.advance(ONE, (), reached(p0=(10, 7000)))
    assert await read_as_of(connection) == UNKNOWN_MS
    await checkpoints.advance(TWO, (), reached(p1=(5, 6000)))
    assert await read_as_of(connection) == 6000
    await checkpoints.advance(TWO, (), reached(p1=(5, 8000)))
    # The owner of the first is away: it stands still.
    assert await read_as_of(connection) == 7000


async def test_it_moves_on_with_the_checkpoints(connection: Connection, checkpoints: Checkpoints) -> None:
    await both_tell(checkpoints, 7000, 8000)
    await checkpoints.advance({0: Span(10, 15)}, (), reached(p0=(15, 7500)))
    assert await read_as_of(connection) == 7500


async def test_nothing_is_told_of_what_the_checkpoints_have_not_reached(
    connection: Connection, checkpoints: Checkpoints
) -> None:
    await both_tell(checkpoints, 7000, 8000)
    await checkpoints.advance(ONE, (), reached(p0=(11, 7500)))
    assert await read_as_of(connection) == 7000


@pytest.mark.parametrize("number", [0, 31, 63])
async def test_what_a_bucket_lost_it_does_not_tell(
    connection: Connection, checkpoints: Checkpoints, number: int
) -> None:
    """As after a failover of one node between a collector's look at the checkpoints and its word on the time."""
    await both_tell(checkpoints, 7000, 8000)
    bucket = buckets(connection)[number]
    await connection.run([Command("HSET", [bucket.applied], ["g:t:0", 7])])
    await connection.run([Command("HSET", [bucket.as_of], ["g:t", msgpack.packb([6000, [6000, 8000]])])])
    assert await read_as_of(connection) == 6000
    with pytest.raises(StoreRewound):
        await checkpoints.advance(ONE, (), reached(p0=(10, 7900)))
    assert await read_as_of(connection) == 6000
    # It was applied again up to 8, and then all.
    await checkpoints.advance({0: Span(7, 8)}, (), reached(p0=(10, 7900)))
    assert await read_as_of(connection) == 6000
    await checkpoints.advance({0: Span(8, 10)}, (), reached(p0=(10, 7900)))
    assert await read_as_of(connection) == 7900


GARBAGE = [
    b"",
    b"x",
    b"\xc1",
    b"\xff" * 9,
    msgpack.packb(None),
    msgpack.packb(7),
    msgpack.packb("text"),
    msgpack.packb([]),
    msgpack.packb([6000]),
    msgpack.packb([6000, 7000]),
    msgpack.packb([6000, ["x", "y"]]),
    msgpack.packb([6000, [None, 8000]]),
    msgpack.packb([6000, [float("nan"), 8000]]),
    msgpack.packb([6000, [-1, 8000]]),
    msgpack.packb([6000, [0.5, 8000]]),
    msgpack.packb([6000, [2**63, 8000]]),
    msgpack.packb(["x", [7000, 8000]]),
    msgpack.packb([6000, {"a": 1}]),
    msgpack.packb([6000, [7000, 8000]]) + b"more",
    msgpack.packb([6000, [7000, 8000]])[:-1],
    b"\x91" * 1000,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_what_is_no_time_is_unknown_and_made_anew(
    connection: Connection, checkpoints: Checkpoints, garbage: bytes
) -> None:
    """Every partition is to be told again before anything is known; it is logged."""
    await both_tell(checkpoints, 7000, 8000)
    key = buckets(connection)[31].as_of
    await connection.run([Command("HSET", [key], ["g:t", garbage])])
    assert await read_as_of(connection) == UNKNOWN_MS
    with capture_logs() as lines:
        await checkpoints.advance(ONE, (), reached(p0=(10, 7500), asked_ms=9100))
    assert [(line["event"], line["keys"], line["error"]) for line in lines] == [
        ("markers_removed", [f"{key.decode()} g:t"], "no times")
    ]
    assert await read_as_of(connection) == UNKNOWN_MS
    await checkpoints.advance(TWO, (), reached(p1=(5, 8500), asked_ms=9100))
    assert await read_as_of(connection) == 7500


async def test_a_key_of_another_type_is_unknown(connection: Connection, checkpoints: Checkpoints) -> None:
    await both_tell(checkpoints, 7000, 8000)
    key = buckets(connection)[31].as_of
    await connection.run([Command("DEL", [key])])
    await connection.run([Command("SET", [key], ["x"])])
    assert await read_as_of(connection) == UNKNOWN_MS


async def test_what_another_group_left_as_garbage_does_not_count(
    connection: Connection, checkpoints: Checkpoints
) -> None:
    await both_tell(checkpoints, 7000, 8000)
    await connection.run([Command("HSET", [bucket.as_of], ["h:t", b"x"]) for bucket in buckets(connection)])
    assert await read_as_of(connection) == 7000


async def test_a_partition_that_is_new_is_not_forgotten(connection: Connection, checkpoints: Checkpoints) -> None:
    await both_tell(checkpoints, 7000, 8000)
    await checkpoints.advance(ONE, (), reached(p0=(10, 9500), partitions=4, asked_ms=9500))
    await checkpoints.advance(TWO, (), reached(p1=(5, 9600), partitions=4, asked_ms=9600))
    # What is in the new ones came after all that was told before.
    assert await read_as_of(connection) == 7000
    await checkpoints.begin({2: 0, 3: 0})
    await checkpoints.advance({2: Span(0, 3), 3: Span(0, 0)}, (), reached(p2=(3, 9700), p3=(0, 9700), partitions=4))
    assert await read_as_of(connection) == 9500


async def test_who_heard_less_of_the_topic_lately_does_not_count_its_partitions(
    connection: Connection, checkpoints: Checkpoints
) -> None:
    await both_tell(checkpoints, 7000, 8000)
    await checkpoints.advance(ONE, (), reached(p0=(10, 9500), partitions=3, asked_ms=9500))
    await checkpoints.advance(TWO, (), reached(p1=(5, 9400), partitions=2, asked_ms=9400))
    assert await read_as_of(connection) == 7000


async def test_partitions_of_a_topic_that_was_made_anew_smaller_do_not_count(
    connection: Connection, checkpoints: Checkpoints
) -> None:
    await both_tell(checkpoints, 7000, 8000)
    await checkpoints.advance(TWO, (), reached(p1=(5, 8500), partitions=2, asked_ms=8500))
    await checkpoints.advance({0: Span(10, 12)}, (), reached(p0=(12, 9500), partitions=1, asked_ms=9500))
    assert await read_as_of(connection) == 9500


async def test_another_group_begins_with_nothing_and_takes_over(
    connection: Connection, checkpoints: Checkpoints
) -> None:
    await both_tell(checkpoints, 7000, 8000)
    other = Checkpoints(connection, group="h", topic="t")
    await other.begin({0: 0, 1: 0})
    await other.advance({0: Span(0, 3)}, (), reached(p0=(3, 9000)))
    assert await read_as_of(connection) == 7000
    await other.advance({1: Span(0, 5)}, (), reached(p1=(5, 9100)))
    assert await read_as_of(connection) == 9000


async def first_with_a_time(service: QueryService) -> httpx.Response:
    """The first list that says a time: an answer does not wait long for it while connections are opened."""
    async with asyncio.timeout(DEADLINE_S):
        while (answer := await service.get("list", "t")).headers["X-Replog-As-Of"] == EPOCH:
            pass
    return answer


async def test_every_answer_says_it(
    connection: Connection, checkpoints: Checkpoints, redis_url: str, redis_prefix: str
) -> None:
    await both_tell(checkpoints, 1_767_323_045_678, 1_767_323_046_000)
    async with serving(redis_url, redis_prefix) as service:
        good = await first_with_a_time(service)
        answers = [
            good,
            await service.client.get(path_of("list", "t"), headers={"If-None-Match": good.headers["ETag"]}),
            await service.get("", "unknown"),
            await service.get("page", "t"),
            await service.client.get("/nowhere"),
            await service.client.post(path_of("list", "t")),
            await service.client.get("/openapi.json"),
            await service.client.get("/livez"),
        ]
    assert [answer.status_code for answer in answers] == [200, 304, 400, 400, 404, 405, 200, 200]
    assert {answer.headers["X-Replog-As-Of"] for answer in answers} == {"2026-01-02T03:04:05.678Z"}


async def test_of_an_empty_store_every_answer_says_the_epoch(redis_url: str, redis_prefix: str) -> None:
    async with serving(redis_url, redis_prefix) as service:
        assert (await service.get("list", "t")).headers["X-Replog-As-Of"] == EPOCH
