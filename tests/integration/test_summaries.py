"""Counts, runs, reasons and silent records on a real Redis: against the oracle, and what they cost in calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from replog.store.format.keys import bucket_of, task_bucket
from replog.store.read.bounded_reads import BYTES_A_CALL
from replog.store.read.details.detail_counts import detail_counts
from replog.store.read.details.failure_reasons import failure_reasons, mask
from replog.store.read.details.silent_details import silent_details
from replog.store.read.results import Grouping
from replog.store.read.silent_records import RECORDS_A_CALL, silent_records
from replog.store.read.tasks.task_runs import runs_version, task_runs
from tests.support.model import EPOCH, Model, masked
from tests.support.query_service import event, merge
from tests.support.services.redis import remove_keys
from tests.support.store.counting import Counting
from tests.support.strategies import streams
from tests.support.streams import awkward_stream

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner
    from replog.store.read.results import Page, SilentRecord
    from tests.support.strategies import Event

SEED = 20210512
START = datetime(2021, 5, 12, 12, tzinfo=UTC)
#: So long after most times that what runs is silent; the last time of the streams is not.
LONG_AFTER = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
BY: tuple[Grouping, ...] = get_args(Grouping)


async def is_as_the_oracle_says(connection: Any, events: list[Event]) -> None:
    """Of everything that these events tell of."""
    model = Model(events, now=LONG_AFTER)
    now_ms = (LONG_AFTER - EPOCH) // timedelta(milliseconds=1)
    for record_id in [*model.record_ids, "nobody"]:
        for by in BY:
            counts = (await detail_counts(connection, record_id, by)).data
            shown = [[*model_row.values()] for model_row in model.counts(record_id, by)]
            assert [[*astuple(row)] for row in counts] == shown
        for examined in (1, 3, 5000):
            reasons = (await failure_reasons(connection, record_id, examined)).data
            expected = model.reasons(record_id, 10**6, examined=examined)
            assert (reasons.failed, reasons.examined) == (expected["failed"], expected["examined"])
            assert [[*row] for row in reasons.reasons] == [[*row.values()] for row in expected["reasons"]]
            waits = (await silent_details(connection, record_id, 2, examined)).data
            expected = model.silent_details(record_id, 2, examined=examined)
            assert [detail.detail_id.decode() for detail in waits.details] == [row["id"] for row in expected["details"]]
            assert waits.examined == expected["examined"]
    keys = [*model.task_keys, "nobody", *model.task_keys]
    for last, bytes_a_call in product((1, 2, 1500), (BYTES_A_CALL, 100, 1)):
        runs, pulse = await task_runs(connection, keys, last, bytes_a_call=bytes_a_call)
        assert await runs_version(connection, keys, pulse) == runs.version
        expected_runs = model.runs(keys, last)
        assert [task.total for task in runs.data] == [task["totalRecords"] for task in expected_runs]
        assert [[(run.id, run.status) for run in task.runs] for task in runs.data] == [
            [(run["id"], run["status"]) for run in task["runs"]] for task in expected_runs
        ]
    for prefix in ("", "t1", "plain", "with"):
        rows = model.silent(900, prefix)
        for (offset, limit), records_a_call in product(((0, 1), (1, 2), (0, 1000), (5, 1000)), (RECORDS_A_CALL, 2, 1)):
            found = await silent_records(
                connection,
                now_ms=now_ms,
                silent_for_s=900,
                offset=offset,
                limit=limit,
                prefix=prefix,
                records_a_call=records_a_call,
            )
            page = found.data
            assert page.total == len(rows)
            shown_ids = [row["record"]["id"] for row in rows[offset : offset + limit]]
            assert [row.record.record_id for row in page.rows] == shown_ids


@given(streams)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
async def test_any_events(redis_url: str, redis_prefix: str, stream: list[Event]) -> None:
    """With attempts, duplicates, times at the ends of time."""
    async with Connection(StoreSettings(redis_url=redis_url, redis_prefix=redis_prefix), timeout_s=10) as connection:
        remove_keys(redis_url, redis_prefix)
        # No event is ahead of this clock.
        await merge(connection, stream, LONG_AFTER.timestamp)
        await is_as_the_oracle_says(connection, stream)


@pytest.mark.every_topology
async def test_an_awkward_stream(connection: Connection) -> None:
    events = awkward_stream(Random(SEED))
    await merge(connection, events)
    await is_as_the_oracle_says(connection, events)


@given(st.text(st.sampled_from("0123456789abcdefxXgZF-_: é") | st.characters()) | st.uuids().map(str))
@settings(max_examples=500)
def test_reasons_are_masked_as_the_oracle_says(text: str) -> None:
    """Also hashes beside other words."""
    for reason in (text, f"a{text}", f"{text}-{text}", f"é{text} 0x{text}"):
        assert mask(reason) == masked(reason)


async def test_counts_of_many_pairs_are_short_calls(connection: Connection) -> None:
    """One for some 950 pairs; where there are more, one for 1,000 of them, and for the numbers of as many."""
    details = [
        event("detail.started", detailId=f"d{number}", remoteCluster=f"c{number % 2}", repoName=f"r{number // 2}")
        for number in range(1300)
    ]
    await merge(connection, details)
    for cluster, pairs, calls in (("", 1300, 2), ("c1", 650, 1)):
        counting = Counting(connection)
        found = await detail_counts(counting, "r", "pair", cluster)
        assert len(found.data) == pairs
        assert counting.calls == {"facets": 1, "ZRANGE": calls, "HMGET": calls + 2}
    counting = Counting(connection)
    assert [row.total for row in (await detail_counts(counting, "r", "cluster", "c1")).data] == [650]


async def test_runs_are_one_call_a_bucket(connection: Connection) -> None:
    """And so is the look at whether they are others, whatever there are of them."""
    events = [
        event(
            "record.started",
            recordId=f"r{number}",
            taskKey=f"t{number % 10}",
            at=(START + timedelta(seconds=number)).isoformat(),
        )
        for number in range(400)
    ]
    await merge(connection, events)
    keys = [f"t{number}" for number in range(10)]
    counting = Counting(connection)
    runs, pulse = await task_runs(counting, keys, 20)
    assert [len(task.runs) for task in runs.data] == [20] * 10
    buckets = len({task_bucket(connection.prefix, key).number for key in keys})
    assert counting.calls == {"runs": buckets}
    assert counting.trips == 1
    counting = Counting(connection)
    assert await runs_version(counting, keys, pulse) == runs.version
    assert counting.calls == {"runs": buckets}
    await merge(connection, [event("record.finished", recordId="r0", taskKey="t0", status="FAILED")])
    assert await runs_version(connection, keys, pulse) is None


async def test_reasons_are_read_in_calls_of_250(connection: Connection) -> None:
    """Of the failed ones alone, where these are few among many; and no more than are to be examined."""
    details = [
        event(
            "detail.finished",
            at=(START + timedelta(milliseconds=number)).isoformat(),
            detailId=f"d{number:05}",
            **({"status": "FAILED", "errorReason": f"no {number}"} if number % 8 == 0 else {"status": "SUCCESS"}),
        )
        for number in range(8000)
    ]
    await merge(connection, details)
    counting = Counting(connection)
    found = (await failure_reasons(counting, "r", 750)).data
    assert (found.failed, found.examined) == (1000, 750)
    assert [(reason.reason, reason.failed, reason.detail_id) for reason in found.reasons] == [("no <n>", 750, "d07992")]
    # Of a stretch of time, the first 250 and then up to four times as many at once.
    assert counting.calls["values"] <= 5
    assert counting.calls["seek"] == 0
    assert sum(counting.calls.values()) <= 16


@pytest.mark.parametrize("still_active", [1, 250, 550])
async def test_silent_records_beside_many_that_are_not(connection: Connection, still_active: int) -> None:
    """Of one bucket: counted without being read where few are active, by steps of 500 where many are.

    Those of one team are found among the candidates, by steps of 500, too.
    """
    now = datetime.now(UTC)
    ids = [name for name in map("s{}".format, range(45_000)) if bucket_of(name) == 0][:600]
    events = [
        event("record.started", recordId=name, taskKey=f"team-{at % 2}/t", at=_ago(now, 90_000 - at))
        for at, name in enumerate(ids)
    ]
    events += [event("detail.started", recordId=name, at=_ago(now, 1)) for name in ids[:still_active]]
    await merge(connection, events)
    now_ms = (now - EPOCH) // timedelta(milliseconds=1)
    for prefix, offset in product(("", "team-0/", "team-1/"), (0, 40)):
        expected = [name for at, name in enumerate(ids) if at >= still_active and f"team-{at % 2}/".startswith(prefix)]
        found = await silent_records(
            connection, now_ms=now_ms, silent_for_s=900, offset=offset, limit=20, prefix=prefix
        )
        assert found.data.total == len(expected)
        assert [row.record.record_id for row in found.data.rows] == expected[offset:][:20]


def _ago(now: datetime, seconds: int) -> str:
    return (now - timedelta(seconds=seconds)).isoformat()


async def test_silent_records_are_looked_at_by_500(connection: Connection) -> None:
    """One call a bucket, where none has more; for a limited token, the tasks of the silent ones are asked for, too."""
    now = datetime.now(UTC)
    ago = {name: (now - timedelta(seconds=seconds)).isoformat() for name, seconds in (("old", 4000), ("new", 1))}
    events = [
        *(event("record.started", recordId=f"s{n:03}", taskKey=f"team-{n % 2}/t", at=ago["old"]) for n in range(300)),
        *(event("detail.started", recordId=f"s{n:03}", at=ago["new"]) for n in range(0, 300, 3)),
    ]
    await merge(connection, events)
    counting = Counting(connection)
    page = await silent_page(counting, now)
    assert (page.total, len(page.rows)) == (200, 10)
    assert counting.calls == {"silent": 64, "HMGET": 10}


@pytest.mark.parametrize("others", ["", "tasks", "active records"])
async def test_silent_records_of_one_team_are_read_where_there_are_fewer(connection: Connection, others: str) -> None:
    """In the lists of its tasks, unless they or their RUNNING records are more than all candidates."""
    now = datetime.now(UTC)
    old, new = _ago(now, 4000), _ago(now, 1)
    events = [event("record.started", recordId=f"s{n:03}", taskKey=f"team-{n % 2}/t", at=old) for n in range(300)]
    if others == "tasks":
        ended = [{"recordId": f"o{n}", "taskKey": f"team-1/other-{n}"} for n in range(301)]
        events += [event("record.finished", status="SUCCESS", at=old, **row) for row in ended]
    if others == "active records":
        events += [event("record.started", recordId=f"o{n}", taskKey="team-1/t", at=new) for n in range(151)]
    await merge(connection, events)
    counting = Counting(connection)
    page = await silent_page(counting, now, "team-1/")
    assert (page.total, len(page.rows)) == (150, 10)
    buckets = len({bucket_of(f"s{number:03}") for number in range(1, 300, 2)})
    found = {"heads": 64, "ZCOUNT": 64, "ZMSCORE": 2 * buckets, "HMGET": 10}
    if others:
        assert counting.calls["candidates"] == 64
        assert {name: counting.calls[name] for name in found} == found
    else:
        assert counting.calls == {**found, "ZRANGEBYLEX": 1}


async def silent_page(connection: CommandRunner, now: datetime, prefix: str = "") -> Page[SilentRecord]:
    """The first ten."""
    now_ms = (now - EPOCH) // timedelta(milliseconds=1)
    return (await silent_records(connection, now_ms=now_ms, silent_for_s=900, offset=0, limit=10, prefix=prefix)).data
