from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from replog.cancellation import cancel_and_wait
from replog.errors import BrokerUnavailable, StoreUnavailable, TooManyDeadLetters
from replog.store.write.offsets import Moment
from replog.times import format_time_us, parse_time_us
from replog_collector import metrics
from replog_collector.collector import Collector, Timings
from replog_collector.health.progress import Progress
from replog_collector.kafka.source import Polled
from replog_collector.pipeline.clock_limit import AheadLimit
from replog_collector.pipeline.dead_letter_limit import DeadLetterLimit
from replog_collector.pipeline.decoding import decode
from replog_collector.pipeline.outcomes import OutcomePublishing
from replog_collector.pipeline.retrying import Retrying
from tests.support.fakes import (
    FakeMessage,
    MemoryCheckpoints,
    MemoryDeadLetters,
    MemoryOutbox,
    MemoryOutcomeTopic,
    MemorySource,
    MemoryStore,
    MemoryTopic,
)
from tests.support.store.batches import batch_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from replog.store.write.batch import Batch
    from replog.store.write.merge_result import MergeResult
    from replog.store.write.offsets import Span

#: What was received, and what nothing became of yet.
ACCOUNTS = ("replog_events_received_total", "replog_events_pending")
STARTED = {"type": "detail.started", "recordId": "r", "detailId": "d", "eventTime": "2021-05-12T12:00:00Z"}

#: How long the collector may stand still.
STALLED_AFTER_S = 60.0
#: What the collector's clock shows, and how far ahead an event may be.
NOW, MAX_AHEAD_S = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=10_000), 60.0


def event(**fields: object) -> bytes:
    return json.dumps({**STARTED, **fields}).encode()


#: No test waits for a back-off.
TIMINGS = Timings(first_backoff_s=0.0)


class System:
    """A collector on fakes."""

    def __init__(self, timings: Timings = TIMINGS) -> None:
        self.topic = MemoryTopic()
        self.checkpoints = MemoryCheckpoints()
        self.source = MemorySource(self.topic, self.checkpoints)
        self.outbox = MemoryOutbox()
        self.store = MemoryStore(self.outbox)
        self.outcomes = MemoryOutcomeTopic()
        self.letters = MemoryDeadLetters()
        self.limit = DeadLetterLimit(0.5, 100_000, clock=lambda: 0.0)
        self.now = 0.0
        self.progress = Progress(lambda: self.now, STALLED_AFTER_S)
        self.collector = Collector(
            self.source,
            self.store,
            self.checkpoints,
            self.letters,
            self.limit,
            outcomes=OutcomePublishing(self.outbox, self.outcomes, source="/replog/events"),
            ahead=AheadLimit(MAX_AHEAD_S, clock=NOW.timestamp),
            progress=self.progress,
            timings=timings,
        )

    async def run_until(self, condition: Callable[[], bool]) -> None:
        run = asyncio.create_task(self.collector.run(starting=[self.source.start]))
        async with asyncio.timeout(10):
            while not (condition() or run.done()):
                await asyncio.sleep(0)
        self.collector.stop()
        await run


def held_merges(system: System) -> tuple[asyncio.Event, asyncio.Event]:
    """Hold merges from now on: an event that is set in the first one, and one that lets all of them go on."""
    in_merge, go_on = asyncio.Event(), asyncio.Event()
    merge = system.store.merge

    async def held(batch: Batch) -> MergeResult:
        in_merge.set()
        await go_on.wait()
        return await merge(batch)

    system.store.merge = held  # type: ignore[method-assign]
    return in_merge, go_on


@pytest.fixture
def timings() -> Timings:
    """Of the collector; a test may have others."""
    return TIMINGS


@pytest.fixture
def system(timings: Timings) -> System:
    return System(timings)


async def some_turns() -> None:
    """Let the loop come round a few times."""
    for _ in range(20):
        await asyncio.sleep(0)


async def stopped(system: System, run: asyncio.Task[None]) -> None:
    """Stop a collector whose polls wait for messages, by one more message."""
    system.collector.stop()
    system.topic.publish(event(detailId="at the stop"))
    await run


def counted(metric: str, **labels: str) -> float:
    # Not the whole registry: the metrics of the process read files, and this is looked at in every turn of the loop.
    found = chain(metrics.ACCOUNTS.collect(), REGISTRY.restricted_registry([metric]).collect())
    samples = (sample for family in found for sample in family.samples)
    return next((sample.value for sample in samples if (sample.name, sample.labels) == (metric, labels)), 0.0)


async def test_events_are_merged_and_then_committed(system: System) -> None:
    for number in range(3):
        system.topic.publish(event(detailId=f"d{number}"))
    await system.run_until(lambda: system.topic.committed == 3)
    assert set(system.store.states) == {("r", "d0"), ("r", "d1"), ("r", "d2")}


async def test_nothing_is_committed_before_the_store_has_it(system: System) -> None:
    system.topic.publish(event())
    system.store.failures = [StoreUnavailable("connection", "down")] * 3
    committed_at_failure = []
    merge = system.store.merge

    async def watched(batch: Batch) -> MergeResult:
        committed_at_failure.append(system.topic.committed)
        return await merge(batch)

    system.store.merge = watched  # type: ignore[method-assign]
    await system.run_until(lambda: system.topic.committed == 1)
    assert committed_at_failure == [0, 0, 0, 0]


FINISHED = {
    "type": "record.finished",
    "recordId": "r",
    "taskKey": "t",
    "status": "FAILED",
    "eventTime": "2021-05-12T12:00:00Z",
}


async def test_nothing_is_committed_before_its_outcome_is_published(system: System) -> None:
    """The topic is away for a while, and the outbox after it."""
    system.topic.publish(json.dumps(FINISHED).encode())
    system.outcomes.failures = [BrokerUnavailable("away")] * 3
    committed = []
    send, read = system.outcomes.send, system.outbox.read

    async def sending(events: Any) -> None:
        committed.append(system.topic.committed)
        await send(events)

    async def reading(after: Any) -> Any:
        committed.append(system.topic.committed)
        return await read(after)

    system.outcomes.send, system.outbox.read = sending, reading  # type: ignore[method-assign]
    system.outbox.failures = [StoreUnavailable("connection", "down")] * 2
    await system.run_until(lambda: system.topic.committed == 1)
    assert set(committed) == {0}
    assert [event.get_subject() for event in system.outcomes.events] == ["r"]


async def test_an_outcome_that_a_dead_collector_left_is_published_with_its_batch(system: System) -> None:
    """It had merged the batch, and told nobody: the batch comes again, and changes nothing in the store."""
    await system.store.merge(batch_of([FINISHED]))
    system.topic.publish(json.dumps(FINISHED).encode())
    before = counted("replog_record_transitions_total", status="FAILED")
    await system.run_until(lambda: system.topic.committed == 1)
    assert counted("replog_record_transitions_total", status="FAILED") == before
    assert [event.get_subject() for event in system.outcomes.events] == ["r"]


async def test_a_stop_does_not_wait_for_the_outcomes_topic(system: System) -> None:
    system.topic.publish(json.dumps(FINISHED).encode())
    system.outcomes.failures = [BrokerUnavailable("away")] * 1000
    await system.run_until(lambda: len(system.outcomes.failures) < 998)
    assert (system.topic.committed, len(system.outbox.entries)) == (0, 1)


async def test_store_failures_are_counted_by_kind(system: System) -> None:
    before = counted("replog_store_errors_total", kind="oom")
    system.topic.publish(event())
    system.store.failures = [StoreUnavailable("oom", "full")] * 2
    await system.run_until(lambda: system.topic.committed == 1)
    assert counted("replog_store_errors_total", kind="oom") == before + 2


async def test_an_invalid_event_is_dead_lettered_and_the_others_go_on(system: System) -> None:
    system.topic.publish(b"{", key=b"k")
    system.topic.publish(event())
    await system.run_until(lambda: system.topic.committed == 2)
    (letter,) = system.letters.letters
    assert (letter.message.value, letter.message.key, letter.reason) == (b"{", b"k", "not_json")
    assert ("r", "d") in system.store.states


@pytest.mark.parametrize("kind", ["record.started", "record.finished", "detail.started", "detail.finished"])
async def test_what_is_dated_too_far_ahead_is_dead_lettered(system: System, kind: str) -> None:
    """To the microsecond; the message says what, and how far."""
    said = {"type": kind, "taskKey": "t", "status": "SUCCESS"}
    latest = NOW + timedelta(seconds=MAX_AHEAD_S)
    for number, moment in enumerate([latest, latest + timedelta(microseconds=1), datetime.max.replace(tzinfo=UTC)]):
        system.topic.publish(event(**said, recordId=f"r{number}", eventTime=moment.isoformat()))
    system.topic.publish(event(recordId="past", eventTime="0001-01-01T00:00:00Z"))
    await system.run_until(lambda: system.topic.committed == 4)
    assert {record_id for record_id, _ in system.store.states} == {"r0", "past"}
    assert [letter.reason for letter in system.letters.letters] == ["clock_ahead", "clock_ahead"]
    assert system.letters.letters[1].error == (
        "eventTime is wrong: 9999-12-31T23:59:59.999999Z is 251591616000 s ahead of the collector's clock; "
        "at most 60 s are allowed"
    )


def test_without_a_limit_any_time_is_valid() -> None:
    last = format_time_us(parse_time_us("9999-12-31T23:59:59.999999Z"))
    polled = Polled([FakeMessage(event(eventTime=last))])
    assert decode(polled, AheadLimit(0, clock=lambda: 0)).letters == []
    assert len(decode(polled, AheadLimit(1, clock=lambda: 0)).letters) == 1


async def test_what_cannot_be_read_is_dead_lettered_and_the_others_go_on(system: System) -> None:
    system.topic.publish_unreadable("no name", key=b"k", value=b"v", headers=[("r\\xe9gion", b"eu")])
    system.topic.publish(event())
    with capture_logs() as logs:
        await system.run_until(lambda: system.topic.committed == 2)
    (letter,) = system.letters.letters
    message = letter.message
    assert (message.value, message.key, message.headers) == (b"v", b"k", [("r\\xe9gion", b"eu")])
    assert (letter.reason, letter.error) == ("unreadable", "no name")
    (line,) = [line for line in logs if line["event"] == "dead_letter"]
    assert (line["partition"], line["offset"], line["last"]) == (0, 0, 0)
    assert ("r", "d") in system.store.states


async def test_where_nothing_can_be_read_the_partition_goes_on_all_the_same(system: System) -> None:
    before = [counted(name) for name in ACCOUNTS]
    system.topic.publish_unreadable("a bomb")
    await system.run_until(lambda: system.topic.committed == 1)
    assert [counted(name) - was for name, was in zip(ACCOUNTS, before, strict=True)] == [1, 0]
    assert system.checkpoints.stored == {0: 1}
    assert system.store.states == {}


async def test_a_batch_of_which_nothing_can_be_read_is_one_letter_that_names_its_offsets(system: System) -> None:
    system.topic.publish_unreadable("a bomb", messages=3)
    system.topic.publish(event())
    with capture_logs() as logs:
        await system.run_until(lambda: system.topic.committed == 4)
    (letter,) = system.letters.letters
    assert letter.error == "offsets 0 to 2: a bomb"
    (line,) = [line for line in logs if line["event"] == "dead_letter"]
    assert (line["offset"], line["last"]) == (0, 2)


async def test_nothing_is_committed_before_dead_letters_are_acknowledged(system: System) -> None:
    system.topic.publish(b"{")
    system.letters.failures = [BrokerUnavailable("down")] * 2
    await system.run_until(lambda: system.topic.committed == 1)
    assert len(system.letters.letters) == 1


async def test_a_tombstone_is_passed_over_and_counted(system: System) -> None:
    before = counted("replog_tombstones_total")
    system.topic.publish(None)
    await system.run_until(lambda: system.topic.committed == 1)
    assert counted("replog_tombstones_total") == before + 1
    assert system.letters.letters == []


async def test_the_end_of_a_transaction_is_passed_over(system: System) -> None:
    """Else the collector would be behind for ever, and take itself for one that hangs."""
    before = counted("replog_batch_events_count")
    system.topic.publish(event())
    system.topic.end_transaction()
    await system.run_until(lambda: system.topic.committed == 2)
    assert system.checkpoints.stored == {0: 2}
    assert [standing.position for standing in system.source.standings().values()] == [2]
    assert counted("replog_batch_events_count") == before + 1


async def test_a_failed_commit_does_not_stop_the_collector(system: System) -> None:
    system.source.commit_fails = True
    system.topic.publish(event())
    await system.run_until(lambda: ("r", "d") in system.store.states)
    assert system.topic.committed == 0


async def test_a_stop_in_an_outage_leaves_the_batch_to_the_next_member(system: System) -> None:
    system.topic.publish(event())
    system.store.failures = [StoreUnavailable("connection", "down")] * 1000
    await system.run_until(lambda: len(system.store.failures) < 990)
    assert system.topic.committed == 0
    system.store.failures = []
    again = System()
    again.topic, again.source.topic = system.topic, system.topic
    await again.run_until(lambda: system.topic.committed == 1)
    assert ("r", "d") in again.store.states


async def test_what_cannot_start_is_tried_until_it_can(system: System) -> None:
    attempts = iter([BrokerUnavailable("down"), BrokerUnavailable("down"), None])

    async def start() -> None:
        if error := next(attempts):
            raise error

    system.topic.publish(event())
    run = asyncio.create_task(system.collector.run(starting=[start, system.source.start]))
    async with asyncio.timeout(10):
        await system.store.merged.wait()
    system.collector.stop()
    await run


async def test_finishing_waits_for_the_batch_in_flight(system: System) -> None:
    in_merge, go_on = held_merges(system)
    system.topic.publish(event())
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    async with asyncio.timeout(10):
        await in_merge.wait()
        revoking = asyncio.create_task(system.collector.finish_batch())
        await asyncio.sleep(0)
        assert not revoking.done()
        go_on.set()
        await revoking
    assert system.topic.committed == 1
    system.collector.stop()
    await run


def results() -> float:
    """How many events something became of."""
    types = ("record.started", "detail.started", "detail.progressed", "unknown")
    words = ("applied", "duplicate", "superseded", "invalid")
    return sum(counted("replog_events_total", type=kind, result=word) for kind in types for word in words)


def received() -> float:
    return counted("replog_events_received_total")


def pending() -> float:
    return counted("replog_events_pending")


async def test_every_event_is_accounted_for(system: System) -> None:
    before, received_before = results(), received()
    late = event(type="detail.progressed", progress={}, eventTime="2021-05-12T12:00:01Z")
    later = event(type="detail.progressed", progress={"totalSize": 1}, eventTime="2021-05-12T12:00:02Z")
    for value in (event(), event(), b"{", later, late, late):
        system.topic.publish(value)
    await system.run_until(lambda: system.topic.committed == 6)
    assert (results(), received()) == (before + 6, received_before + 6)


async def test_accounts_balance_while_a_batch_is_held_up_and_after(system: System) -> None:
    """With tombstones, of which nothing becomes, and a batch that failed on its way."""
    started, settled, held = received(), results(), pending()
    for value in (event(), None, b"{"):
        system.topic.publish(value)
    system.letters.failures = [BrokerUnavailable("down")] * 30
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    async with asyncio.timeout(10):
        await system.store.merged.wait()
        assert (received() - started, results() - settled, pending() - held) == (2, 0, 2)
        while system.topic.committed < 3:
            await asyncio.sleep(0)
    assert (received() - started, results() - settled, pending() - held) == (2, 2, 0)
    system.collector.stop()
    await run


@pytest.mark.parametrize("timings", [replace(TIMINGS, poll_s=0.01)])
async def test_while_a_batch_is_held_up_nothing_is_taken_and_polling_goes_on(system: System) -> None:
    """One more is decoded behind it, and no third."""
    system.store.failures = [StoreUnavailable("connection", "down")] * 1_000_000
    before = received()
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    async with asyncio.timeout(10):
        for batch in range(3):
            system.topic.publish(event(detailId=f"d{batch}"))
            while received() - before < min(batch + 1, 2):
                await asyncio.sleep(0)
        while system.source.paused_polls < 3:
            await asyncio.sleep(0)
        assert received() - before == 2
        system.store.failures.clear()
        while system.topic.committed < 3:
            await asyncio.sleep(0)
    system.collector.stop()
    await run


@pytest.mark.parametrize("timings", [replace(TIMINGS, poll_s=0.01)])
async def test_a_broker_that_fails_while_a_batch_is_held_up_does_not_lose_it(system: System) -> None:
    system.topic.publish(event())
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    system.store.failures = [StoreUnavailable("timeout", "slow")] * 500
    system.source.failures = [BrokerUnavailable("down")] * 5
    async with asyncio.timeout(10):
        while system.topic.committed < 1:
            await asyncio.sleep(0)
    system.collector.stop()
    await run


@pytest.mark.parametrize("timings", [replace(TIMINGS, revoke_s=0.01)])
async def test_a_revocation_does_not_wait_for_ever(system: System) -> None:
    """The group does not either; the batch is merged when that can be."""
    system.store.failures = [StoreUnavailable("connection", "down")] * 1_000_000
    system.topic.publish(event())
    before = pending()
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    async with asyncio.timeout(10):
        while pending() == before:
            await asyncio.sleep(0)
        await system.collector.finish_batch()
        assert pending() == before + 1
        system.store.failures.clear()
        await system.store.merged.wait()
    system.collector.stop()
    await run


async def test_events_of_a_record_that_the_store_refuses_are_dead_lettered_and_the_others_go_on(system: System) -> None:
    before, refused = results(), counted("replog_dead_letters_total", reason="refused")
    for number in range(20):
        system.topic.publish(event(recordId=f"r{number}"))
        system.topic.publish(event(recordId=f"r{number}"))
    system.topic.publish(b"{")
    system.store.broken = {"r3", "r11"}
    await system.run_until(lambda: system.topic.committed == 41)
    assert {record for record, _ in system.store.states} == {f"r{number}" for number in range(20)} - {"r3", "r11"}
    assert sorted((letter.message.offset, letter.reason) for letter in system.letters.letters) == [
        (6, "refused"),
        (7, "refused"),
        (22, "refused"),
        (23, "refused"),
        (40, "not_json"),
    ]
    assert results() - before == 41
    assert counted("replog_dead_letters_total", reason="refused") - refused == 4


async def test_an_outage_while_a_batch_is_halved_is_waited_for(system: System) -> None:
    for number in range(8):
        system.topic.publish(event(recordId=f"r{number}"))
    system.store.broken = {"r5"}
    merge, calls = system.store.merge, 0

    async def failing(batch: Batch) -> MergeResult:
        nonlocal calls
        calls += 1
        if calls % 2 == 0:
            raise StoreUnavailable("timeout", "slow")
        return await merge(batch)

    system.store.merge = failing  # type: ignore[method-assign]
    await system.run_until(lambda: system.topic.committed == 8)
    assert len(system.store.states) == 7


async def test_too_many_dead_letters_end_the_collector_and_none_of_them_is_sent(system: System) -> None:
    for _ in range(1000):
        system.topic.publish(b"{")
    with pytest.raises(TooManyDeadLetters, match=r"REPLOG_DEAD_LETTER_SHARE=0\.5"):
        await system.run_until(lambda: False)
    assert (system.topic.committed, system.letters.letters) == (0, [])


def rewinds() -> float:
    return counted("replog_store_rewinds_total")


async def running(system: System, condition: Callable[[], bool]) -> None:
    """Wait for ``condition`` while the collector runs; the accounts balance all along."""
    off = received() - results() - pending()
    async with asyncio.timeout(10):
        while not condition():
            assert received() - results() - pending() == off
            await asyncio.sleep(0)


async def test_calls_that_the_store_lost_come_again_without_a_restart(system: System) -> None:
    """As after a failover between two batches' calls and their checkpoints."""
    before, merge = rewinds(), system.store.merge

    async def losing(batch: Batch) -> MergeResult:
        result = await merge(batch)
        if rewinds() == before:
            system.store.states.clear()
            system.checkpoints.lost_calls = True
        return result

    system.store.merge = losing  # type: ignore[method-assign]
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    for number in range(3):
        system.topic.publish(event(detailId=f"d{number}"))
        await asyncio.sleep(0)
    await running(system, lambda: system.topic.committed == 3)
    assert set(system.store.states) == {("r", "d0"), ("r", "d1"), ("r", "d2")}
    assert rewinds() == before + 1
    # What comes again may be lost in part: nothing of it is taken for done.
    assert system.store.renewals == 1
    system.collector.stop()
    await run


async def test_what_the_store_lost_earlier_comes_again_with_the_next_batch(system: System) -> None:
    """Also that which was decoded behind it, and is not committed before what is missing has come."""
    before = rewinds()
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    for number in range(2):
        system.topic.publish(event(detailId=f"d{number}"))
        await running(system, lambda: system.topic.committed == number + 1)  # noqa: B023
    del system.store.states["r", "d1"]
    system.checkpoints.stored[0] = 1
    for number in range(2, 4):
        system.topic.publish(event(detailId=f"d{number}"))
        await asyncio.sleep(0)
    await running(system, lambda: system.topic.committed == 4)
    assert set(system.store.states) == {("r", f"d{number}") for number in range(4)}
    assert rewinds() > before
    system.collector.stop()
    await run


async def test_a_store_that_was_emptied_while_nothing_is_published_is_filled_again(system: System) -> None:
    for number in range(3):
        system.topic.publish(event(detailId=f"d{number}"))
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    await running(system, lambda: system.topic.committed == 3)
    system.store.states.clear()
    system.checkpoints.stored.clear()
    await running(system, lambda: len(system.store.states) == 3 and system.checkpoints.stored == {0: 3})
    system.collector.stop()
    await run


async def test_nothing_is_committed_before_the_checkpoints_are_moved_on(system: System) -> None:
    system.topic.publish(event())
    merge, committed = system.store.merge, []

    async def failing_afterwards(batch: Batch) -> MergeResult:
        result = await merge(batch)
        system.checkpoints.failures = [StoreUnavailable("connection", "down")] * 5
        return result

    system.store.merge = failing_afterwards  # type: ignore[method-assign]
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    await running(system, system.store.merged.is_set)
    while system.checkpoints.failures:
        committed.append(system.topic.committed)
        await asyncio.sleep(0)
    assert set(committed) == {0}
    await running(system, lambda: system.topic.committed == 1)
    assert system.checkpoints.stored == {0: 1}
    system.collector.stop()
    await run


async def test_a_batch_whose_partition_went_back_meanwhile_is_merged_and_not_committed(system: System) -> None:
    """It does not continue what is applied: its events come once more."""
    in_merge, go_on = asyncio.Event(), asyncio.Event()
    merge = system.store.merge

    async def slow(batch: Batch) -> MergeResult:
        if not go_on.is_set() and len(system.store.states) == 1:
            in_merge.set()
            await go_on.wait()
        return await merge(batch)

    system.store.merge = slow  # type: ignore[method-assign]
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    system.topic.publish(event(detailId="d0"))
    await running(system, lambda: system.topic.committed == 1)
    system.topic.publish(event(detailId="d1"))
    await running(system, in_merge.is_set)
    system.checkpoints.stored[0] = 0
    system.store.states.clear()
    await system.source.rewind()
    go_on.set()
    await running(system, lambda: system.topic.committed == 2)
    assert set(system.store.states) == {("r", "d0"), ("r", "d1")}
    system.collector.stop()
    await run


async def test_a_partition_that_goes_back_to_the_begin_of_the_batch_in_hand_goes_on(system: System) -> None:
    """The batch moves it on, and so does what was read again from the same begin, but for what the batch had."""
    in_merge, go_on = held_merges(system)
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    system.topic.publish(event(detailId="d0"))
    await running(system, in_merge.is_set)
    await system.source.rewind()
    system.topic.publish(event(detailId="d1"))
    go_on.set()
    await running(system, lambda: system.topic.committed == 2)
    assert system.checkpoints.stored == {0: 2}
    system.collector.stop()
    await run


@pytest.mark.parametrize("timings", [replace(TIMINGS, checkpoint_interval_s=1000.0)])
async def test_batches_of_a_moment_are_marked_together(system: System) -> None:
    """At the latest when partitions are given up, or at a stop."""
    system.source.waits = True
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    for number in range(5):
        system.topic.publish(event(detailId=f"d{number}"))
        await running(system, lambda: len(system.store.states) == number + 1)  # noqa: B023
    assert (system.topic.committed, system.checkpoints.stored) == (1, {0: 1})
    await system.collector.finish_batch()
    assert (system.topic.committed, system.checkpoints.stored) == (5, {0: 5})
    system.topic.publish(event(detailId="last"))
    await running(system, lambda: len(system.store.states) == 6)
    await stopped(system, run)
    assert (system.topic.committed, system.checkpoints.stored) == (7, {0: 7})


@pytest.mark.parametrize("timings", [replace(TIMINGS, checkpoint_interval_s=1000.0)])
async def test_what_waits_to_be_marked_is_not_where_the_partition_has_gone_back(system: System) -> None:
    """Its events come again, and are marked then."""
    system.source.waits = True
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    for number in range(3):
        system.topic.publish(event(detailId=f"d{number}"))
        await running(system, lambda: len(system.store.states) == number + 1)  # noqa: B023
    assert system.checkpoints.stored == {0: 1}
    system.checkpoints.stored[0] = 0
    system.store.states.clear()
    await system.source.rewind()
    await running(system, lambda: len(system.store.states) == 3)
    await stopped(system, run)
    assert (system.topic.committed, system.checkpoints.stored) == (4, {0: 4})


async def rewinding(system: System) -> asyncio.Task[None]:
    """A collector that is to go back, and cannot: the store does not say where to."""
    for number in range(2):
        system.topic.publish(event(detailId=f"d{number}"))
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    await running(system, lambda: system.topic.committed == 2)
    del system.store.states["r", "d1"]
    system.checkpoints.stored[0] = 1
    told, rewind = asyncio.Event(), system.source.rewind

    async def with_the_store_away() -> None:
        if not told.is_set():
            told.set()
            system.checkpoints.away = True
        await rewind()

    system.source.rewind = with_the_store_away  # type: ignore[method-assign]
    system.topic.publish(event(detailId="d2"))
    await running(system, told.is_set)
    return run


async def test_partitions_are_given_up_once_a_rewind_that_is_retried_has_succeeded(system: System) -> None:
    run = await rewinding(system)
    revoking = asyncio.create_task(system.collector.finish_batch())
    for _ in range(50):
        await asyncio.sleep(0)
    assert not revoking.done()
    system.checkpoints.away = False
    async with asyncio.timeout(10):
        await revoking
    assert system.source.positions == {0: 1}
    await running(system, lambda: system.topic.committed == 3 and system.checkpoints.stored == {0: 3})
    assert set(system.store.states) == {("r", f"d{number}") for number in range(3)}
    system.collector.stop()
    await run


@pytest.mark.parametrize("timings", [replace(TIMINGS, revoke_s=0.01)])
async def test_partitions_that_are_taken_from_a_rewind_that_is_retried_are_begun_anew(system: System) -> None:
    """And the rewind, when it can, goes back with what there is then."""
    run = await rewinding(system)
    with capture_logs() as lines:
        await system.collector.finish_batch()
    assert [line["event"] for line in lines if line["event"] != "backing_off"] == ["batch_unfinished"]
    system.source.give_up()
    assert system.source.positions == {}
    for _ in range(50):
        await asyncio.sleep(0)
    system.checkpoints.away = False
    await running(system, lambda: system.topic.committed == 3 and system.checkpoints.stored == {0: 3})
    assert set(system.store.states) == {("r", f"d{number}") for number in range(3)}
    system.collector.stop()
    await run


async def test_a_stop_ends_a_rewind_that_is_retried(system: System) -> None:
    """What is missing is left to the next member, which begins at the checkpoints."""
    run = await rewinding(system)
    system.collector.stop()
    async with asyncio.timeout(10):
        await run
    assert system.checkpoints.stored == {0: 1}


def told_ms(system: System) -> int | None:
    """Up to when the collector said last that everything is applied."""
    moment = system.checkpoints.moments.get(0)
    return moment.at_ms if moment else None


async def test_on_an_idle_topic_the_time_goes_on(system: System) -> None:
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    system.source.clock_ms = 1000
    system.topic.publish(event())
    await running(system, lambda: told_ms(system) == 1000)
    for clock_ms in (2000, 3000):
        system.source.clock_ms = clock_ms
        await running(system, lambda: told_ms(system) == clock_ms)  # noqa: B023 - it is awaited here
    system.collector.stop()
    await run


@pytest.mark.parametrize("timings", [replace(TIMINGS, checkpoint_interval_s=0.0)])
async def test_no_time_is_told_before_what_came_by_then_is_marked(system: System) -> None:
    """Whatever fails on the way; a batch is held up in each step."""
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    await running(system, lambda: told_ms(system) == 0)
    system.source.clock_ms = 1000
    system.topic.publish(event())
    system.store.failures = [StoreUnavailable("connection", "down")] * 20
    await running(system, lambda: not system.store.failures)
    assert told_ms(system) == 0
    system.checkpoints.failures = [StoreUnavailable("connection", "down")] * 20
    await running(system, lambda: not system.checkpoints.failures)
    assert told_ms(system) in {0, 1000}
    await running(system, lambda: told_ms(system) == 1000)
    assert system.checkpoints.stored == {0: 1}
    system.collector.stop()
    await run


async def test_a_store_that_went_back_is_of_no_later_time_until_it_is_repaired(system: System) -> None:
    for number in range(3):
        system.topic.publish(event(detailId=f"d{number}"))
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    system.source.clock_ms = 1000
    await running(system, lambda: told_ms(system) == 1000)
    # As from a snapshot: the checkpoints with what they stand for.
    system.checkpoints.stored[0], system.checkpoints.moments = 1, {0: Moment(1, 500)}
    system.source.clock_ms = 2000
    merge, seen = system.store.merge, []

    async def watched(batch: Batch) -> MergeResult:
        seen.append(told_ms(system))
        return await merge(batch)

    system.store.merge = watched  # type: ignore[method-assign]
    await running(system, lambda: bool(seen))
    system.source.clock_ms = 3000
    await running(system, lambda: told_ms(system) == 3000)
    assert seen == [500]
    assert system.checkpoints.stored == {0: 3}
    system.collector.stop()
    await run


class HeldCall:
    """A call that is held up before ``call`` until it is opened; swallows the first ``swallows`` cancellations."""

    def __init__(self, call: Callable[..., Awaitable[Any]], *, swallows: int = 0) -> None:
        self._call = call
        self._swallows = swallows
        self._open = asyncio.Event()
        self.reached = asyncio.Event()
        self.cancellations = 0
        #: Calls that neither ended nor were cancelled.
        self.inside = 0

    def open(self) -> None:
        self._open.set()

    async def __call__(self, *arguments: object) -> Any:
        self.inside += 1
        self.reached.set()
        try:
            await self._held()
            return await self._call(*arguments)
        finally:
            self.inside -= 1

    async def _held(self) -> None:
        while not self._open.is_set():
            try:
                await self._open.wait()
            except asyncio.CancelledError:
                self.cancellations += 1
                if self.cancellations > self._swallows:
                    raise


async def test_a_batch_on_its_way_is_told_as_such_and_no_longer(system: System) -> None:
    """It may be slow five times as long as anything else."""
    system.store.merge = held = HeldCall(system.store.merge)  # type: ignore[method-assign, assignment]
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    assert not system.progress.delivering
    system.topic.publish(event())
    async with asyncio.timeout(10):
        await held.reached.wait()
        for _ in range(20):
            await asyncio.sleep(0)
            assert system.progress.delivering
        held.open()
        while system.topic.committed < 1:
            await asyncio.sleep(0)
    await running(system, lambda: not system.progress.delivering)
    system.collector.stop()
    await run


async def test_a_batch_that_is_held_up_for_too_long_is_hanging(system: System) -> None:
    """Five times as long as anything else may be; once it is through, the collector makes progress again."""
    system.store.merge = held = HeldCall(system.store.merge)  # type: ignore[method-assign, assignment]
    system.topic.publish(event())
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    async with asyncio.timeout(10):
        await held.reached.wait()
        await some_turns()
    hangs = f"partition 0 stands at offset 0, 1 behind, for {5 * STALLED_AFTER_S + 1:.0f} s"
    for now, why in ((2 * STALLED_AFTER_S, None), (5 * STALLED_AFTER_S, None), (5 * STALLED_AFTER_S + 1, hangs)):
        system.now = now
        await some_turns()
        assert system.progress.stalled() == why
    held.open()
    await running(system, lambda: system.topic.committed == 1)
    await running(system, lambda: system.progress.stalled() is None)
    system.collector.stop()
    await run


@pytest.mark.parametrize("away", ["store", "checkpoints", "source"])
async def test_a_server_that_is_away_is_no_hanging(system: System, away: str) -> None:
    """However long: each failed try is a reason for standing still."""
    failures = [BrokerUnavailable("down") if away == "source" else StoreUnavailable("connection", "down")] * 10**5
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    await running(system, lambda: told_ms(system) is not None)
    system.topic.publish(event())
    getattr(system, away).failures = failures
    for _ in range(3):
        left = len(failures)
        await running(system, lambda: len(failures) < left)  # noqa: B023 - it is awaited here
        system.now += 10 * STALLED_AFTER_S
        left = len(failures)
        await running(system, lambda: len(failures) < left)  # noqa: B023
        assert system.progress.stalled() is None
    failures.clear()
    await running(system, lambda: system.topic.committed == 1)
    system.collector.stop()
    await run


async def test_checkpoints_do_not_move_over_what_was_polled_before_a_partition_began_again(system: System) -> None:
    """Whenever it did: also between two tries, while the store is away."""
    tries: list[dict[int, tuple[int, int]]] = []
    advance = system.checkpoints.advance

    async def failing_once(spans: dict[int, Span], *arguments: Any) -> None:
        if any(span.begin < span.end for span in spans.values()) or tries:
            tries.append({**spans})
        if len(tries) == 1:
            await system.source.start()
            raise StoreUnavailable("connection", "away")
        await advance(spans, *arguments)

    system.checkpoints.advance = failing_once  # type: ignore[method-assign, assignment]
    system.topic.publish(event())
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    await running(system, lambda: system.topic.committed == 1)
    system.collector.stop()
    await run
    assert tries[:2] == [{0: (0, 1)}, {}]


@pytest.mark.parametrize("turns", range(6))
async def test_a_comparison_is_no_batch_on_its_way(system: System, turns: int) -> None:
    """Whichever of the loop and the batch comes first when that has ended."""
    poll, advance, compared = system.source.poll, system.checkpoints.advance, asyncio.Event()

    async def slow_poll(timeout_s: float, *, paused: bool = False) -> Polled:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await poll(timeout_s, paused=paused)

    async def hanging(spans: dict[int, Span], *arguments: Any) -> None:
        if all(span.begin == span.end for span in spans.values()) and system.topic.committed:
            compared.set()
            await asyncio.Event().wait()
        await advance(spans, *arguments)

    system.source.poll = slow_poll  # type: ignore[method-assign]
    system.checkpoints.advance = hanging  # type: ignore[method-assign, assignment]
    system.topic.publish(event())
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    async with asyncio.timeout(10):
        await compared.wait()
        for _ in range(20):
            await asyncio.sleep(0)
            assert not system.progress.delivering
    await cancel_and_wait([run], timeout_s=5)
    assert run.cancelled()


async def test_batches_one_behind_the_other_are_both_on_their_way(system: System) -> None:
    """The end of the first says nothing of the second."""
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    merge = system.store.merge
    for number in range(3):
        system.store.merge = held = HeldCall(merge)  # type: ignore[method-assign, assignment]
        system.topic.publish(event(detailId=f"a{number}"))
        async with asyncio.timeout(10):
            await held.reached.wait()
        system.store.merge = behind = HeldCall(merge)  # type: ignore[method-assign, assignment]
        system.topic.publish(event(detailId=f"b{number}"))
        held.open()
        async with asyncio.timeout(10):
            await behind.reached.wait()
        for _ in range(20):
            await asyncio.sleep(0)
            assert system.progress.delivering
        behind.open()
        await running(system, lambda: not system.progress.delivering)
    system.collector.stop()
    await run


async def test_an_outage_that_is_waited_for_is_no_hanging(system: System) -> None:
    """However long it is; each failure says so."""
    system.store.failures = [StoreUnavailable("connection", "down")] * 50
    merge = system.store.merge

    async def as_time_passes(batch: Batch) -> MergeResult:
        system.now += 59
        assert system.progress.stalled() is None
        return await merge(batch)

    system.store.merge = as_time_passes  # type: ignore[method-assign]
    system.topic.publish(event())
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    await running(system, lambda: run.done() or not system.store.failures)
    system.collector.stop()
    await run
    assert system.now > 2_000


@pytest.mark.parametrize("swallows", [0, 2])
@pytest.mark.parametrize("ends_by", ["an error", "a cancellation", "several cancellations"])
async def test_no_batch_outlives_the_loop(system: System, ends_by: str, swallows: int) -> None:
    """Whatever ends that, and where the driver swallows cancellations: nothing is written afterwards."""
    system.store.merge = held = HeldCall(system.store.merge, swallows=swallows)  # type: ignore[method-assign, assignment]
    system.topic.publish(event())
    run = asyncio.create_task(system.collector.run(starting=[system.source.start]))
    async with asyncio.timeout(10):
        await held.reached.wait()
        if ends_by == "an error":
            system.source.failures = [TooManyDeadLetters("a limit")]  # type: ignore[list-item]
            await asyncio.wait([run])
        elif ends_by == "a cancellation":
            run.cancel()
            await asyncio.wait([run])
        else:
            await cancel_and_wait([run], timeout_s=10)
    assert held.inside == 0
    assert held.cancellations == swallows + 1
    if ends_by == "an error":
        assert isinstance(run.exception(), TooManyDeadLetters)
    else:
        assert run.cancelled()
    held.open()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (system.store.states, system.topic.committed) == ({}, 0)
    assert not system.progress.delivering


async def test_partitions_are_given_up_at_once_when_the_loop_has_ended(system: System) -> None:
    """A store that stands still would hold up leaving the group."""
    system.topic.publish(event())
    await system.run_until(lambda: system.topic.committed == 1)
    system.checkpoints.advance = HeldCall(system.checkpoints.advance)  # type: ignore[method-assign, assignment]
    async with asyncio.timeout(1):
        await system.collector.finish_batch()


async def test_a_failing_call_that_is_waited_for_ends_with_its_task() -> None:
    """Also where the stop comes at the same moment, in either order."""
    for stop_first in (True, False):
        stopping = asyncio.Event()
        retrying = Retrying(stopping, Progress(lambda: 0.0, 60))
        failed = asyncio.Event()

        async def failing() -> None:
            failed.set()  # noqa: B023 - it is awaited here
            raise StoreUnavailable("connection", "down")

        task = asyncio.create_task(retrying(failing))
        await failed.wait()
        await asyncio.sleep(0)
        if stop_first:
            stopping.set()
        task.cancel()
        stopping.set()
        await asyncio.wait([task])
        assert task.cancelled()
