"""Checkpoints on a real Redis: they move on only where everything that was acknowledged is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from replog.errors import StoreRewound
from replog.store.client.command import Command
from replog.store.format.keys import BUCKETS, BucketKeys, task_bucket
from replog.store.write.checkpoints import Checkpoints
from replog.store.write.offsets import Moment, Reached, Span
from replog.store.write.writer import Limits, Writer
from tests.support.services.redis import connected, servers_of
from tests.support.store.batches import batch_of

if TYPE_CHECKING:
    from replog.store.client.connection import Connection
    from replog.store.write.merge_result import MergeResult

pytestmark = pytest.mark.every_topology

SPAN = {0: Span(10, 20)}

LIMITS = Limits()


async def merged(connection: Connection, record_id: str = "r1", limits: Limits = LIMITS) -> MergeResult:
    """Merge a record, its details and its task; returns the result."""
    of_record = {"recordId": record_id, "eventTime": "2021-05-12T12:00:00Z"}
    details = [{**of_record, "type": "detail.started", "detailId": f"d{number}"} for number in range(120)]
    batch = batch_of([{**of_record, "type": "record.started", "taskKey": f"task-{record_id}"}, *details])
    return await Writer(connection, limits=limits).merge(batch)


def buckets(connection: Connection) -> list[BucketKeys]:
    return [BucketKeys(connection.prefix, number) for number in range(BUCKETS)]


async def noted(connection: Connection, result: MergeResult) -> list[int]:
    """How many calls of the merge each bucket has noted."""
    keys = [bucket.calls(result.merge_id) for bucket in buckets(connection)]
    return [int(count) for count in await connection.run([Command("BITCOUNT", [key]) for key in keys])]


async def test_a_store_that_knows_nothing_says_so(connection: Connection) -> None:
    assert await Checkpoints(connection, group="g", topic="t").read([0, 3]) == {0: None, 3: None}
    assert await Checkpoints(connection, group="g", topic="t").read([]) == {}


async def test_checkpoints_move_on_with_what_is_merged(connection: Connection, checkpoints: Checkpoints) -> None:
    result = await merged(connection, limits=Limits(entities_a_call=50))
    # Three calls for the details and the record, in its bucket, and one for its task, in that of the task.
    assert sum(await noted(connection, result)) == sum(result.calls.values()) == 4
    await checkpoints.advance(SPAN, [result])
    assert await checkpoints.read([0, 1]) == {0: 20, 1: 5}
    assert sum(await noted(connection, result)) == 0


async def test_moving_on_is_safe_to_repeat(connection: Connection, checkpoints: Checkpoints) -> None:
    result = await merged(connection)
    for _ in range(2):
        await checkpoints.advance(SPAN, [result])
    await checkpoints.advance({0: Span(10, 15)}, [])
    assert await checkpoints.read([0]) == {0: 20}


async def test_all_parts_of_a_batch_that_was_halved_count(connection: Connection, checkpoints: Checkpoints) -> None:
    results = [await merged(connection, f"r{number}") for number in range(3)]
    await checkpoints.advance(SPAN, results)
    assert [sum(await noted(connection, result)) for result in results] == [0, 0, 0]
    results = [await merged(connection, f"r{number}") for number in range(3)]
    await lose(connection, results[1])
    with pytest.raises(StoreRewound, match=r"\[0\]"):
        await checkpoints.advance({0: Span(20, 30)}, results)


async def lose(connection: Connection, result: MergeResult, *, last_only: bool = False) -> None:
    """Take away what one bucket noted, or its last call."""
    number, count = next(iter(result.calls.items()))
    key = buckets(connection)[number].calls(result.merge_id)
    await connection.run([Command("SETBIT", [key], [count - 1, 0]) if last_only else Command("UNLINK", [key])])


@pytest.mark.parametrize("last_only", [False, True], ids=["all of a bucket", "the last call"])
async def test_checkpoints_stay_where_a_call_is_missing(
    connection: Connection, checkpoints: Checkpoints, *, last_only: bool
) -> None:
    result = await merged(connection)
    await lose(connection, result, last_only=last_only)
    with pytest.raises(StoreRewound):
        await checkpoints.advance(SPAN, [result])
    # Every other bucket may have moved on: what counts is the least.
    assert await checkpoints.read([0]) == {0: 10}
    again = await merged(connection)
    await checkpoints.advance(SPAN, [again])
    assert await checkpoints.read([0]) == {0: 20}


async def test_checkpoints_stay_where_a_record_is_missing_in_its_task_s_list(
    connection: Connection, checkpoints: Checkpoints
) -> None:
    """Its bucket may lie on another node than the record's."""
    result = await merged(connection)
    bucket = task_bucket(connection.prefix, "task-r1")
    assert result.calls[bucket.number] == 1
    assert len(result.calls) == 2
    await connection.run([Command("UNLINK", [bucket.calls(result.merge_id)])])
    with pytest.raises(StoreRewound):
        await checkpoints.advance(SPAN, [result])
    assert await checkpoints.read([0]) == {0: 10}


@pytest.mark.parametrize("number", [0, 31, 63])
async def test_checkpoints_that_fell_are_noticed(connection: Connection, checkpoints: Checkpoints, number: int) -> None:
    bucket = buckets(connection)[number]
    await connection.run([Command("HSET", [bucket.applied], ["g:t:0", 7])])
    with pytest.raises(StoreRewound):
        await checkpoints.advance(SPAN, [])
    assert await checkpoints.read([0]) == {0: 7}
    await connection.run([Command("UNLINK", [bucket.applied])])
    with pytest.raises(StoreRewound):
        await checkpoints.advance({0: Span(7, 20)}, [])
    assert await checkpoints.read([0, 1]) == {0: None, 1: None}


async def write_over(connection: Connection, key: bytes) -> None:
    """Put something else than checkpoints there."""
    await connection.run([Command("UNLINK", [key]), Command("SADD", [key], ["no hash"])])


@pytest.mark.parametrize("number", [0, 31, 63])
async def test_checkpoints_that_somebody_wrote_over_are_as_good_as_lost(
    connection: Connection, checkpoints: Checkpoints, number: int
) -> None:
    key = buckets(connection)[number].applied
    await write_over(connection, key)
    with capture_logs() as lines, pytest.raises(StoreRewound):
        await checkpoints.advance(SPAN, [])
    assert lines[0]["event"] == "markers_removed"
    assert lines[0]["keys"] == [key.decode()]
    await write_over(connection, key)
    assert await checkpoints.read([0, 1]) == {0: None, 1: None}
    await write_over(connection, key)
    await checkpoints.begin({0: 3})
    assert await checkpoints.read([0]) == {0: 3}


GARBAGE = [b"", b"x", b"-1", b"1.5", b"1e3", b"0x10", b"nan", b"inf", b" 7", b"9" * 20, b"\xff\x00", b"1_0"]


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_a_checkpoint_that_is_no_offset_is_as_good_as_lost(
    connection: Connection, checkpoints: Checkpoints, garbage: bytes
) -> None:
    """It is removed and logged; others of its key are left."""
    bucket = buckets(connection)[31]
    await connection.run([Command("HSET", [bucket.applied], ["g:t:0", garbage])])
    with pytest.raises(StoreRewound):
        await checkpoints.advance(SPAN, [])
    with pytest.raises(StoreRewound):
        await checkpoints.advance({0: Span(0, 0)}, [])
    with capture_logs() as lines:
        assert await checkpoints.read([0, 1]) == {0: None, 1: 5}
    assert [(line["event"], line["keys"], line["error"]) for line in lines] == [
        ("markers_removed", [f"{bucket.applied.decode()} g:t:0"], "no offsets")
    ]
    assert await connection.run([Command("HKEYS", [bucket.applied])]) == [[b"g:t:1"]]
    await checkpoints.begin({0: 3})
    await checkpoints.advance({0: Span(3, 7)}, [])
    assert await checkpoints.read([0, 1]) == {0: 7, 1: 5}


async def test_the_last_offset_that_kafka_has_is_one(connection: Connection, checkpoints: Checkpoints) -> None:
    await checkpoints.begin({0: 2**63 - 1})
    assert await checkpoints.read([0]) == {0: 2**63 - 1}


@pytest.mark.parametrize("kind", ["applied", "as_of"])
async def test_keys_of_any_other_type_are_removed(connection: Connection, checkpoints: Checkpoints, kind: str) -> None:
    key = getattr(buckets(connection)[7], kind)
    for other in (Command("SADD", [key], ["x"]), Command("RPUSH", [key], ["x"]), Command("ZADD", [key], [1, "x"])):
        await connection.run([Command("DEL", [key])])
        await connection.run([other])
        await checkpoints.begin({0: 10, 1: 5})
        moments = Reached(2, 9000, {0: Moment(10, 7000), 1: Moment(5, 7000)})
        await checkpoints.advance({0: Span(10, 10), 1: Span(5, 5)}, [], moments)
        assert await checkpoints.read([0, 1]) == {0: 10, 1: 5}


async def test_notes_that_are_right_are_kept_where_another_key_is_removed(
    connection: Connection, checkpoints: Checkpoints
) -> None:
    """The checkpoint of the batch is written: nothing of it counts as lost."""
    result = await merged(connection)
    key = buckets(connection)[next(iter(result.calls))].as_of
    await connection.run([Command("DEL", [key]), Command("SADD", [key], ["x"])])
    with capture_logs() as lines:
        await checkpoints.advance(SPAN, [result], Reached(2, 9000, {0: Moment(20, 7000)}))
    (line,) = lines
    assert (line["event"], line["keys"]) == ("markers_removed", [key.decode()])
    assert "WRONGTYPE" in line["error"]
    assert await checkpoints.read([0, 1]) == {0: 20, 1: 5}


async def test_a_note_of_another_type_is_as_good_as_lost(connection: Connection, checkpoints: Checkpoints) -> None:
    result = await merged(connection)
    number = next(iter(result.calls))
    key = buckets(connection)[number].calls(result.merge_id)
    await connection.run([Command("DEL", [key])])
    await connection.run([Command("SADD", [key], ["x"])])
    with capture_logs() as lines, pytest.raises(StoreRewound):
        await checkpoints.advance(SPAN, [result])
    assert lines[0]["keys"] == [key.decode()]


async def test_groups_and_topics_do_not_disturb_each_other(connection: Connection, checkpoints: Checkpoints) -> None:
    others = [Checkpoints(connection, group="h", topic="t"), Checkpoints(connection, group="g", topic="u")]
    for other in others:
        assert await other.read([0]) == {0: None}
        await other.begin({0: 3})
    result = await merged(connection)
    await checkpoints.advance(SPAN, [result])
    assert [await other.read([0]) for other in others] == [{0: 3}, {0: 3}]
    theirs = await merged(connection)
    await others[0].advance({0: Span(3, 4)}, [theirs])
    assert [await of.read([0]) for of in [checkpoints, *others]] == [{0: 20}, {0: 4}, {0: 3}]


async def test_scripts_that_redis_forgot_are_loaded_again(
    connection: Connection, checkpoints: Checkpoints, redis_url: str
) -> None:
    result = await merged(connection)
    for url in servers_of(redis_url):
        with connected(url) as client:
            client.script_flush()
    await checkpoints.advance(SPAN, [result])
    assert await checkpoints.read([0]) == {0: 20}
    for url in servers_of(redis_url):
        with connected(url) as client:
            client.script_flush()
    result = await merged(connection)
    await checkpoints.advance({0: Span(20, 30)}, [result])
    assert await checkpoints.read([0]) == {0: 30}


async def test_each_try_to_merge_is_noted_by_itself(connection: Connection, checkpoints: Checkpoints) -> None:
    """Of a try that failed nobody knows which calls came through: they must not stand for those of the next."""
    result, again = await merged(connection), await merged(connection)
    assert again.merge_id != result.merge_id
    await lose(connection, result)
    with pytest.raises(StoreRewound):
        await checkpoints.advance(SPAN, [result])
