"""Erasures under copies, files, verifications and rebuilds: what was forgotten stays so, and nothing later is lost."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from replog.store.client.command import Command
from replog.store.format.keys import BUCKETS, BucketKeys, RecordKeys, task_keys
from replog.store.maintain.restoring import Restoring
from replog.store.write.checkpoints import Checkpoints
from replog.store.write.writer import Writer
from replog_collector.pipeline.clock_limit import AheadLimit
from replog_repair.copying.copier import copy
from replog_repair.copying.file_ends import FileDestination, FileOrigin
from replog_repair.copying.store_ends import StoreOrigin
from replog_repair.rebuilding import Rebuild, drop
from replog_repair.verification.other_store import OtherStore
from replog_repair.verification.topic_fold import InMemory
from replog_repair.verification.verifier import Rounds, Verdict, Verifier
from tests.support.model import Model
from tests.support.services.redis import connected, servers_of
from tests.support.store.batches import batch_of, many_events
from tests.support.topic import KnownEvents, TopicInMemory
from tests.support.verification import (
    Silent,
    assert_answers_as_the_oracle,
    copy_to,
    fold_of,
    merge_while_both_are_written,
    origin_of,
    unexpected,
    write,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from replog.store.client.connection import Connection
    from replog.store.client.pipelining import CommandRunner
    from replog_repair.copying.chunks import Chunk
    from replog_repair.verification.expectation import Expectation
    from tests.support.strategies import Event

pytestmark = [pytest.mark.every_topology, pytest.mark.as_operator]

QUICK = Rounds(most=2, pause_s=0)


async def restore(connection: CommandRunner, topic: Sequence[Event]) -> int:
    """The number of records that were noted."""
    return (await Restoring(connection, KnownEvents(topic), ahead_s=0).restore()).records


def at(second: int) -> str:
    return f"2021-05-12T12:00:{second:02}Z"


def started(second: int, record_id: str = "r", **fields: Any) -> Event:
    return {"type": "record.started", "recordId": record_id, "taskKey": "t", "eventTime": at(second), **fields}


def detail(phase: str, second: int, **fields: Any) -> Event:
    return {"type": f"detail.{phase}", "recordId": "r", "detailId": "d", "eventTime": at(second), **fields}


def erased(second: int) -> Event:
    return {"type": "record.erased", "recordId": "r", "eventTime": at(second)}


RUN = [started(1), detail("started", 2), detail("finished", 3, status="SUCCESS")]


def events_with_erasures(seed: int, count: int = 400) -> list[Event]:
    """Events of some records, of which some are erased up to the time of some event of theirs."""
    chance = Random(seed)
    events = many_events(chance, count)
    for i in range(count // 20):
        event = chance.choice(events)
        erasure = {"type": "record.erased", "recordId": event["recordId"], "eventTime": event["eventTime"]}
        events.insert(chance.randrange(len(events)) if i % 2 else events.index(event) + 1, erasure)
    return events


@pytest.mark.parametrize("seed", range(4))
async def test_a_copy_has_forgotten_what_the_store_has(connection: Connection, copied: Connection, seed: int) -> None:
    """What comes again is still forgotten; what the store is to read from the topic, the copy is, too."""
    events = events_with_erasures(seed)
    await write(connection, events)
    assert (await copy_to(copied, origin_of(connection))).erased > 0
    await write(copied, [event for event in events if event["type"] != "record.erased"])
    noted = await restore(copied, events)
    await assert_answers_as_the_oracle(copied, events)
    assert noted == await restore(connection, events) > 0


@pytest.mark.parametrize("seed", range(4))
async def test_two_stores_with_erasures_become_one(connection: Connection, copied: Connection, seed: int) -> None:
    """Each has some of the events and erasures, and both are written while one is merged into the other."""
    events = events_with_erasures(seed, 600)
    await merge_while_both_are_written(connection, copied, events)
    await restore(copied, events)
    await assert_answers_as_the_oracle(copied, events)


class WrittenMeanwhile(StoreOrigin):
    """A store that is written after each of its chunks, until nothing is left to write."""

    def __init__(self, connection: CommandRunner, meanwhile: Sequence[Event]) -> None:
        super().__init__(connection, identity="store", unreadable=unexpected)
        self._runner = connection
        self._meanwhile = [meanwhile[i : i + 9] for i in range(0, len(meanwhile), 9)]

    async def chunks(self, bucket: int) -> AsyncIterator[Chunk]:
        """The store's, which changes before and after each."""
        await self._write()
        async for chunk in super().chunks(bucket):
            yield chunk
            await self._write()

    async def _write(self) -> None:
        if self._meanwhile:
            await write(self._runner, self._meanwhile.pop(0))


@pytest.mark.parametrize("seed", range(6))
async def test_erasures_during_a_copy_lose_nothing(connection: Connection, copied: Connection, seed: int) -> None:
    """A collector of the copy gets again what came since, and reads from the topic what is noted."""
    events = events_with_erasures(seed, 500)
    before, meanwhile = events[:250], events[250:]
    await write(connection, before)
    await copy_to(copied, WrittenMeanwhile(connection, meanwhile))
    await write(copied, meanwhile)
    await restore(copied, events)
    await assert_answers_as_the_oracle(copied, events)


async def test_later_events_of_a_record_erased_while_it_was_read_are_noted(
    connection: Connection, copied: Connection
) -> None:
    """The store has dropped them, and has them again before the copy looks for that."""
    later = started(9)
    await write(connection, [*RUN, later])

    class ErasedMeanwhile(StoreOrigin):
        async def _records(self, bucket: int, known: Any) -> AsyncIterator[Any]:
            if bucket == RecordKeys(connection.prefix, "r").bucket.number:
                await write(connection, [erased(5)])
                async for records in super()._records(bucket, known):
                    yield records
                assert await restore(connection, [*RUN, later]) == 1

    await copy_to(copied, ErasedMeanwhile(connection, identity="o", unreadable=unexpected))
    assert await restore(copied, [*RUN, later]) == 1
    await assert_answers_as_the_oracle(copied, [*RUN, later, erased(5)])


async def test_a_copy_erases_what_the_destination_has(connection: Connection, copied: Connection) -> None:
    await write(connection, [*RUN, erased(5), started(7)])
    await write(copied, [*RUN, started(6)])
    await copy_to(copied, origin_of(connection))
    # The destination had something later, which only the topic still has.
    assert await restore(copied, [*RUN, started(6), started(7)]) == 1
    await assert_answers_as_the_oracle(copied, [*RUN, started(6), erased(5), started(7)])


async def test_a_copy_brings_nothing_back_that_the_destination_has_erased(
    connection: Connection, copied: Connection
) -> None:
    await write(connection, RUN)
    await write(copied, [*RUN, erased(5)])
    await copy_to(copied, origin_of(connection))
    assert await restore(copied, RUN) == 0
    await assert_answers_as_the_oracle(copied, [*RUN, erased(5)])
    # What is later is noted, and not taken from registers that may hide it.
    later = [started(7), detail("finished", 8, status="FAILED", attempt=1)]
    await write(connection, later)
    await copy_to(copied, origin_of(connection))
    assert await restore(copied, [*RUN, *later]) == 1
    await assert_answers_as_the_oracle(copied, [*RUN, *later, erased(5)])


async def test_a_second_copy_of_erasures_changes_nothing(connection: Connection, copied: Connection) -> None:
    events = events_with_erasures(3)
    await write(connection, events)
    await restore(connection, events)
    keys = [RecordKeys(copied.prefix, record_id).record for record_id in Model(events).record_ids]
    versions = [Command("HGET", [key], ["v"]) for key in keys]
    await copy_to(copied, origin_of(connection))
    before = await copied.run(versions)
    await copy_to(copied, origin_of(connection))
    assert await copied.run(versions) == before
    assert await restore(copied, events) == 0
    await assert_answers_as_the_oracle(copied, events)


async def test_a_file_carries_erasures(connection: Connection, copied: Connection, tmp_path: Path) -> None:
    events = events_with_erasures(5)
    await write(connection, events)
    path = tmp_path / "backup.replog"
    with FileDestination(path) as file:
        written = await copy(origin_of(connection), file, progress=lambda *_: None)
    assert written.erased > 0
    with FileOrigin(path) as file:
        assert await copy_to(copied, file) == written
    await write(copied, [event for event in events if event["type"] != "record.erased"])
    await restore(copied, events)
    await assert_answers_as_the_oracle(copied, events)


async def test_a_backup_from_before_an_erasure_brings_nothing_back(connection: Connection, tmp_path: Path) -> None:
    await write(connection, RUN)
    path = tmp_path / "backup.replog"
    with FileDestination(path) as file:
        await copy(origin_of(connection), file, progress=lambda *_: None)
    await write(connection, [erased(5)])
    with FileOrigin(path) as file:
        await copy_to(connection, file)
    await assert_answers_as_the_oracle(connection, [*RUN, erased(5)])


async def verified(connection: Connection, expectation: Expectation, *, repair: bool = False) -> Verdict:
    verifier = Verifier(connection, expectation, kept_since_ms=0, report=Silent(), rounds=QUICK)
    return await verifier.verify_all(repair=repair)


def kinds(verdict: Verdict) -> set[str]:
    return {finding.what for finding in verdict.findings}


@pytest.mark.parametrize("events_in_memory", [7, 100_000])
@pytest.mark.parametrize("seed", range(4))
async def test_a_store_with_erasures_is_equal_to_its_topic(
    connection: Connection, seed: int, events_in_memory: int
) -> None:
    events = events_with_erasures(seed)
    await write(connection, events)
    with fold_of(events, in_memory=InMemory(events=events_in_memory)) as fold:
        # Not all later events are there yet: they are noted, and that is no difference.
        assert (await verified(connection, fold)).findings == []
        assert await restore(connection, events) > 0
        verdict = await verified(connection, fold)
        assert verdict.findings == []
        assert verdict.at_least == 0
        # And what is wrong then is found.
        model = Model(events)
        key = RecordKeys(connection.prefix, next(of for of in model.record_ids if model.details(of))).details
        (fields,) = await connection.run([Command("HGETALL", [key])])
        await connection.run([Command("HDEL", [key], [next(iter(fields))])])
        assert kinds(await verified(connection, fold)) >= {"missing_detail"}


@pytest.mark.parametrize("later", [[], [started(7)]])
@pytest.mark.parametrize("events_in_memory", [1, 100_000])
async def test_a_record_that_should_be_erased_is_found_and_erased(
    connection: Connection, later: list[Event], events_in_memory: int
) -> None:
    await write(connection, [*RUN, *later])
    for topic in ([*RUN, *later, erased(5)], [erased(5), *RUN, *later]):
        with fold_of(topic, in_memory=InMemory(events=events_in_memory)) as fold:
            verdict = await verified(connection, fold)
            (finding,) = [finding for finding in verdict.findings if finding.what == "not_erased"]
            assert finding.record_id == "r"
            assert finding.text == "it should be erased up to 2021-05-12T12:00:05+00:00, and is not erased"
    with fold_of([*RUN, *later, erased(5)], in_memory=InMemory(events=events_in_memory)) as fold:
        assert (await verified(connection, fold, repair=True)).findings == []
        await restore(connection, [*RUN, *later])
        assert (await verified(connection, fold)).findings == []
    await assert_answers_as_the_oracle(connection, [*RUN, *later, erased(5)])


async def test_a_record_that_was_made_anew_is_listed_again(connection: Connection) -> None:
    events = [*RUN, erased(5), started(7), detail("started", 8)]
    await write(connection, events)
    task, by_time, by_status = task_keys(connection.prefix, "t")
    await connection.run([Command("HDEL", [task], ["r"]), Command("ZREM", [by_time], ["r"])])
    await connection.run([Command("UNLINK", [by_status])])
    with fold_of(events) as fold:
        assert kinds(await verified(connection, fold)) >= {"not_listed"}
        assert (await verified(connection, fold, repair=True)).findings == []
    await assert_answers_as_the_oracle(connection, events)


async def test_an_erasure_that_the_topic_does_not_have_is_a_difference(connection: Connection) -> None:
    await write(connection, [*RUN, erased(5)])
    with fold_of(RUN) as fold:
        assert kinds(await verified(connection, fold)) == {"newer_erasure"}
    with fold_of(TopicInMemory(RUN, timestamp=4_000_000_000_000, first=1)) as fold:
        assert (await verified(connection, fold)).findings == []


async def test_erasures_are_verified_against_another_store(connection: Connection, copied: Connection) -> None:
    await write(connection, RUN)
    await write(copied, [*RUN, erased(5)])
    assert kinds(await verified(copied, OtherStore(connection, unreadable=unexpected))) == {"newer_erasure"}
    other = OtherStore(copied, unreadable=unexpected)
    assert kinds(await verified(connection, other)) >= {"not_erased"}
    assert (await verified(connection, other, repair=True)).findings == []
    await assert_answers_as_the_oracle(connection, [*RUN, erased(5)])


@pytest.mark.parametrize("seed", range(2))
async def test_a_rebuilt_store_has_forgotten_what_the_topic_erases(copied: Connection, seed: int) -> None:
    events = events_with_erasures(seed)
    topic: Any = TopicInMemory(events)
    checkpoints = Checkpoints(copied, group="g", topic="t")
    rebuilt = await Rebuild(topic, copied, checkpoints, AheadLimit(0), progress=lambda *_: None).run()
    assert rebuilt.events == len(events)
    await restore(copied, events)
    await assert_answers_as_the_oracle(copied, events)


async def test_a_dropped_store_leaves_no_erasures(connection: Connection, copied: Connection, redis_url: str) -> None:
    events = events_with_erasures(1)
    await write(connection, events)
    await copy_to(copied, origin_of(connection))
    await Writer(copied, outbox=True).merge(batch_of(events))
    kept = [BucketKeys(copied.prefix, number) for number in range(BUCKETS)]
    asked = [Command("EXISTS", [of.erased, of.erased_at, of.restoring, of.listed, of.outbox]) for of in kept]
    assert sum(await copied.run(asked)) > 0
    await drop(copied, progress=lambda *_: None)
    left: set[bytes] = set()
    for url in servers_of(redis_url):
        with connected(url) as client:
            found = client.scan_iter(match=f"{copied.prefix}:*", count=1000)
            left.update(key.split(b"}:", 1)[1].split(b":")[0] for key in found)
    assert left <= {b"calls"}
