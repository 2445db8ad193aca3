"""The proof that a store is right: what is wrong is found, named and repaired; what is under way is no difference."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack
import pytest

from replog.store.client.command import Command
from replog.store.format.keys import RecordKeys, task_bucket, task_keys
from replog.store.maintain.restoring import Restoring
from replog.store.maintain.retention import Policy, Retention
from replog.store.write.writer import Writer
from replog_repair.verification.fold_selection import Selection
from replog_repair.verification.other_store import OtherStore
from replog_repair.verification.topic_fold import InMemory
from replog_repair.verification.verifier import Rounds, Verdict, Verifier
from tests.support.model import Model
from tests.support.store.answers import answers, expected
from tests.support.store.batches import batch_of, many_events
from tests.support.topic import KnownEvents, TopicInMemory
from tests.support.verification import Silent, copy_to, fold_of, origin_of, unexpected, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from replog.store.client.connection import Connection
    from replog_repair.verification.expectation import Expectation
    from tests.support.strategies import Event

pytestmark = [pytest.mark.every_topology, pytest.mark.as_operator]

QUICK = Rounds(most=4, pause_s=0.05)


async def verified(
    connection: Connection,
    expectation: Expectation,
    *,
    repair: bool = False,
    kept_since_ms: int = 0,
    rounds: Rounds = QUICK,
    pausing: Callable[[], Any] | None = None,
) -> Verdict:
    async def sleep(pause_s: float) -> None:
        if pausing:
            await pausing()
        await asyncio.sleep(pause_s)

    verifier = Verifier(
        connection, expectation, kept_since_ms=kept_since_ms, report=Silent(), rounds=rounds, sleep=sleep
    )
    return await verifier.verify_all(repair=repair)


def placed_events(seed: int, count: int = 250) -> list[Event]:
    """Events with names, conflicts and sizes, of records with details that run."""
    chance = random.Random(seed)
    facts = {"packageName": "pé", "path": "a/b", "repoName": "r", "version": "1", "conflictStrategy": "SKIP"}
    return [
        event
        | ({name: text for name, text in facts.items() if chance.random() < 0.6} if "detailId" in event else {})
        | ({"progress": {"totalSize": 2**40}} if event["type"] == "detail.finished" else {})
        for event in many_events(chance, count)
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_a_store_equals_its_topic_and_its_copy(connection: Connection, copied: Connection, seed: int) -> None:
    events = placed_events(seed)
    await write(connection, events)
    model = Model(events)
    with fold_of(TopicInMemory(events)) as fold:
        verdict = await verified(connection, fold)
    details = sum(len(model.details(record_id)) for record_id in model.record_ids)
    assert (verdict.records, verdict.details, verdict.tasks) == (
        len(model.record_ids),
        details,
        len(model.task_keys),
    )
    assert (verdict.findings, verdict.unsettled, verdict.at_least) == ([], [], 0)
    await copy_to(copied, origin_of(connection))
    for one, another in ((connection, copied), (copied, connection)):
        verdict = await verified(one, OtherStore(another, unreadable=unexpected))
        assert (verdict.findings, verdict.unsettled) == ([], [])


class Wrong(NamedTuple):
    """A way in which a store is wrong: the commands that make it so, and what is found."""

    commands: list[Command]
    what: str
    detail_id: str | None = None
    task_key: str | None = None
    #: Whether it is put right.
    repaired: bool = True


async def _wrongs(connection: Connection) -> dict[str, Wrong]:
    keys, bucket = RecordKeys(connection.prefix, "r1"), RecordKeys(connection.prefix, "r1").bucket
    task, time, status = task_keys(connection.prefix, "t1")
    by_status, by_pair, by_name, statuses, indexed, value = await connection.run(
        [
            Command("ZRANGE", [keys.by_status], [0, 0]),
            Command("ZRANGE", [keys.by_pair], [0, 0]),
            Command("ZRANGE", [keys.by_name], [0, 0]),
            Command("ZRANGE", [status], [0, 0]),
            Command("ZRANGE", [task_bucket(connection.prefix, "t1").tasks], [0, 0]),
            Command("HGET", [keys.details], ["d1"]),
        ]
    )
    tasks = task_bucket(connection.prefix, "t1").tasks
    packed = msgpack.unpackb(value[2:], raw=True)
    packed[-1] = 5
    return {
        "out of its task's list": Wrong(
            [Command("HDEL", [task], ["r1"]), Command("ZREM", [time], ["r1"])], "not_listed", task_key="t1"
        ),
        "sum off by one": Wrong([Command("HINCRBY", [keys.record], ["s1", 1])], "sum"),
        "count off by one": Wrong([Command("HINCRBY", [keys.record], ["nS", 1])], "sum"),
        "count of a pair": Wrong([Command("HSET", [keys.record], [b"f\x7f", b"0,3,0"])], "sum"),
        "no count of a pair": Wrong([Command("HDEL", [keys.record], [b"f\x01"])], "sum"),
        "a detail missing": Wrong([Command("HDEL", [keys.details], ["d1"])], "missing_detail", "d1"),
        "a detail too many": Wrong(
            [Command("HSET", [keys.details], ["dx", value])], "extra_detail", "dx", repaired=False
        ),
        "not by status": Wrong([Command("ZREM", [keys.by_status], by_status)], "missing_entry"),
        "by status, out of order": Wrong([Command("ZADD", [keys.by_status], [5, by_status[0]])], "missing_entry"),
        "by status too many": Wrong(
            [Command("ZADD", [keys.by_status], [0, by_status[0][:8] + b"dx"])], "extra_entry", "dx"
        ),
        "by another status": Wrong([Command("ZADD", [keys.by_status], [0, b"?" + by_status[0][1:]])], "extra_entry"),
        "by status at another time": Wrong(
            [Command("ZADD", [keys.by_status], [0, by_status[0][:1] + b"\0" * 7 + by_status[0][8:]])], "extra_entry"
        ),
        "nonsense by status": Wrong([Command("ZADD", [keys.by_status], [0, b"?"])], "extra_entry"),
        "not by pair": Wrong([Command("ZREM", [keys.by_pair], by_pair)], "missing_entry"),
        "by pair too many": Wrong([Command("ZADD", [keys.by_pair], [0, by_pair[0][:-1] + b"\x7f"])], "extra_entry"),
        "by pair in another status": Wrong(
            [Command("ZADD", [keys.by_pair], [0, by_pair[0][:1] + b"?" + by_pair[0][2:]])], "extra_entry"
        ),
        "not by name": Wrong([Command("ZREM", [keys.by_name], by_name)], "missing_entry"),
        "by name too many": Wrong(
            [Command("ZADD", [keys.by_name], [0, b"SpX" + by_name[0][by_name[0].index(b"\0") :]])], "extra_entry"
        ),
        "nonsense in an index": Wrong([Command("ZADD", [keys.by_name], [0, b"?"])], "extra_entry"),
        "sums of a detail": Wrong(
            [Command("HSET", [keys.details], ["d1", value[:2] + msgpack.packb(packed, use_bin_type=False)])],
            "detail_sums",
            "d1",
            repaired=False,
        ),
        "not due": Wrong([Command("ZADD", [bucket.due], [5, "r1"])], "due"),
        "not running": Wrong([Command("ZADD", [bucket.running], [5, "r1"])], "running"),
        "nobody running": Wrong([Command("ZADD", [bucket.running], [5, "nobody"])], "extra_entry"),
        "unfinished": Wrong([Command("SREM", [bucket.unfinished], ["r1"])], "unfinished"),
        "nobody unfinished": Wrong([Command("SADD", [bucket.unfinished], ["nobody"])], "extra_entry"),
        "lost": Wrong(
            [Command("UNLINK", [key]) for key in keys.all]
            + [Command("ZREM", [key], ["r1"]) for key in (bucket.due, bucket.running)]
            + [Command("SREM", [bucket.unfinished], ["r1"])],
            "missing_record",
        ),
        "an old outcome in a list": Wrong(
            [Command("HSET", [task], ["r1", msgpack.packb((b"\x00" * 10, b"\x00" * 11 + b"R"), use_bin_type=False)])],
            "list_state",
            task_key="t1",
        ),
        "not in a list by time": Wrong([Command("ZREM", [time], ["r1"])], "missing_entry", task_key="t1"),
        "not in a list by status": Wrong([Command("ZREM", [status], statuses)], "missing_entry", task_key="t1"),
        "in a list by status too many": Wrong(
            [Command("ZADD", [status], [0, b"S" + b"\0" * 7 + b"r1"])], "extra_entry", task_key="t1"
        ),
        "nobody in a list": Wrong(
            [
                Command(
                    "HSET", [task], ["nobody", msgpack.packb((b"\x00" * 10, b"\x00" * 11 + b"R"), use_bin_type=False)]
                )
            ],
            "listed",
            task_key="t1",
        ),
        "not in the index of tasks": Wrong(
            [Command("ZREM", [tasks], [entry for entry in indexed if entry[:1] != b"="])], "task_entry"
        ),
        "in the index of tasks too many": Wrong(
            [Command("ZADD", [tasks], [0, b"S" + b"\0" * 7 + b"t1"])], "task_entry", task_key="t1"
        ),
        "facts of another": Wrong([Command("HDEL", [keys.record], ["facts"])], "different_record"),
    }


NAMES = [
    *("out of its task's list", "sum off by one", "count off by one", "count of a pair", "no count of a pair"),
    *("a detail missing",),
    *("a detail too many", "not by status", "by status, out of order", "by status too many", "by another status"),
    *("by status at another time", "nonsense by status", "not by pair", "by pair too many"),
    *("by pair in another status", "not by name", "by name too many", "nonsense in an index", "sums of a detail"),
    *("not due", "not running", "nobody running", "unfinished", "nobody unfinished", "lost"),
    *("an old outcome in a list", "not in a list by time", "not in a list by status", "in a list by status too many"),
    *("nobody in a list", "not in the index of tasks", "in the index of tasks too many", "facts of another"),
]


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_wrong_is_found_named_and_repaired(connection: Connection, name: str) -> None:
    events = placed_events(11)
    await write(connection, events)
    wrongs = await _wrongs(connection)
    assert [*wrongs] == NAMES
    wrong = wrongs[name]
    await connection.run(wrong.commands)
    with fold_of(TopicInMemory(events)) as fold:
        verdict = await verified(connection, fold, rounds=Rounds(most=1, pause_s=0))
        found = [finding for finding in verdict.findings if finding.what == wrong.what]
        assert found, verdict.findings
        if wrong.detail_id:
            assert wrong.detail_id in {finding.detail_id for finding in found}
        if wrong.task_key:
            assert wrong.task_key in {finding.task_key for finding in found}
        assert {key for command in wrong.commands for key in command.keys} >= {found[0].key}
        if not wrong.repaired:
            return
        verdict = await verified(connection, fold, repair=True)
        assert verdict.findings == []
        assert verdict.repaired > 0
        assert (await verified(connection, fold)).findings == []
    model = Model(events)
    assert await answers(connection, model) == expected(model)


async def test_events_that_flow_are_no_difference(connection: Connection) -> None:
    """The store is behind the topic, then ahead of what was read of it, and lists are brought up later."""
    events = placed_events(4, 600)
    topic = TopicInMemory(events[:300])
    await write(connection, events[:200])
    more = iter(range(200, 600, 100))

    async def pausing() -> None:
        at = next(more, None)
        if at is not None:
            topic.events = events[: at + 100]
            await write(connection, events[at : at + 100])

    with fold_of(topic) as fold:
        verdict = await verified(connection, fold, rounds=Rounds(most=10, pause_s=0.01), pausing=pausing)
    assert verdict.findings == []


async def test_a_store_that_stays_behind_is_different(connection: Connection) -> None:
    events = placed_events(4)
    await write(connection, events[:-60])
    with fold_of(TopicInMemory(events)) as fold:
        verdict = await verified(connection, fold)
        assert {finding.what for finding in verdict.findings} & {"different_detail", "missing_detail"}
        await verified(connection, fold, repair=True)
        assert (await verified(connection, fold)).findings == []


async def test_what_retention_may_take_is_no_difference(connection: Connection) -> None:
    old = [{"type": "record.started", "recordId": "old", "taskKey": "t", "eventTime": "2021-01-01T00:00:00Z"}]
    new = placed_events(5)
    await Writer(connection, clock=lambda: 1_609_459_300).merge(batch_of(old))
    await write(connection, new)
    with fold_of(TopicInMemory([*old, *new])) as fold:
        assert await Retention(connection, Policy(10, 10), clock=lambda: 1_610_500_000).sweep() == 1
        # The store remembers it; and later it does not, and the record is older than what is kept.
        assert (await verified(connection, fold)).findings == []
        bucket = RecordKeys(connection.prefix, "old").bucket
        await connection.run([Command("UNLINK", [bucket.removed])])
        assert [finding.what for finding in (await verified(connection, fold)).findings] == ["missing_record"]
        assert (await verified(connection, fold, kept_since_ms=1_609_459_300_000)).findings == []


async def test_what_the_topic_no_longer_has_is_compared_as_at_least(connection: Connection) -> None:
    """Of what began before the topic's first message, more is no difference, and less is."""
    events = placed_events(6)
    await write(connection, events)
    topic = TopicInMemory(events, first=120, timestamp=4_000_000_000_000)
    with fold_of(topic) as fold:
        verdict = await verified(connection, fold)
        assert verdict.findings == []
        assert verdict.at_least > 0
    topic = TopicInMemory(events, first=120, timestamp=1_000_000_000)
    with fold_of(topic) as fold:
        assert (await verified(connection, fold)).findings
    await connection.run([Command("HDEL", [RecordKeys(connection.prefix, "r1").record], ["outcome"])])
    with fold_of(TopicInMemory(events, first=120, timestamp=4_000_000_000_000)) as fold:
        assert {finding.what for finding in (await verified(connection, fold)).findings} >= {"different_record"}


async def test_one_record_and_one_task_are_verified_alone(connection: Connection) -> None:
    events = placed_events(7)
    await write(connection, events)
    broken, whole = RecordKeys(connection.prefix, "r1"), "r0"
    await connection.run([Command("HINCRBY", [broken.record], ["s1", 1])])
    with fold_of(TopicInMemory(events)) as fold:
        for record_id, count in (("r1", 1), (whole, 0), ("nobody", 0)):
            verifier = Verifier(connection, fold, kept_since_ms=0, report=Silent(), rounds=QUICK)
            assert len((await verifier.verify_record(record_id)).findings) == count
        verifier = Verifier(connection, fold, kept_since_ms=0, report=Silent(), rounds=QUICK)
        verdict = await verifier.verify_task("t1")
        assert [finding.record_id for finding in verdict.findings] == ["r1"]


async def verified_task(connection: Connection, expectation: Expectation, task_key: str) -> Verdict:
    verifier = Verifier(connection, expectation, kept_since_ms=0, report=Silent(), rounds=QUICK)
    return await verifier.verify_task(task_key)


@pytest.mark.parametrize("erased", [False, True])
@pytest.mark.parametrize("task_key", ["t0", "t1", "t2", "no such task"])
async def test_a_task_is_verified_with_a_fold_of_its_records_alone(
    connection: Connection, copied: Connection, task_key: str, *, erased: bool
) -> None:
    """Whether the list names them, or only their events do; the topic is read again for the latter alone."""
    events = placed_events(8)
    if erased:
        middle = events[len(events) // 2]["eventTime"]
        erasures = [{"type": "record.erased", "recordId": f"r{number}", "eventTime": middle} for number in range(4)]
        events = [*erasures[:2], *events, *erasures[2:]]
    model = Model(events)
    await write(connection, events)
    if erased:
        await Restoring(connection, KnownEvents(events), ahead_s=0).restore()
    of_task = [row["id"] for row in model.records(task_key)]
    for listed, readings in ((of_task, 1), ([], 2 if of_task else 1)):
        topic = TopicInMemory(events)
        with fold_of(topic, selection=Selection(listed, task_key=task_key)) as fold:
            verdict = await verified_task(connection, fold, task_key)
            assert (verdict.findings, verdict.unsettled, verdict.records) == ([], [], len(of_task))
            if not erased:
                assert topic.readings == readings
            verdict = await verified_task(copied, fold, task_key)
            assert {finding.record_id for finding in verdict.findings} == {*of_task}


async def test_a_fold_takes_large_events_piece_by_piece(connection: Connection) -> None:
    """The bytes of messages count, too: each spill follows a poll."""
    events = placed_events(9)
    await write(connection, events)
    with fold_of(events, in_memory=InMemory(bytes=1)) as pieces, fold_of(events, in_memory=InMemory()) as whole:
        for fold in (pieces, whole):
            assert (await verified(connection, fold)).findings == []
        assert pieces._rows.last > whole._rows.last
