"""Collectors die, come and go."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.scenario import POISON, stream
from tests.support.services.redis import connected
from tests.support.system import COLLECTOR, Message, message, share

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.scenario import Scenario
    from tests.support.system import Process

#: Two batches, and more that cannot be taken while they are held up.
MANY = {"records": 60, "details": 60}


def while_merging(scenario: Scenario) -> Process:
    """Redis stands still with the batch before it."""
    return scenario.killed_while_merging()


def while_paused(scenario: Scenario) -> Process:
    """With a second batch decoded behind the one that Redis keeps waiting, and the partitions paused."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    scenario.redis.pause()
    first, *others = stream(2)
    scenario.publish([first])
    scenario.wait(lambda: scenario.pending(collector) == 1, "a batch before Redis")
    scenario.publish(others)
    scenario.wait(lambda: scenario.pending(collector) > 1, "a second batch behind it")
    scenario.kill(collector)
    scenario.redis.resume()
    return collector


def while_dead_lettering(scenario: Scenario) -> Process:
    """The dead-letter topic takes nothing; the batch is in the store already."""
    scenario.narrow_dead_letters(10)
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.publish_others(POISON)
    scenario.wait(lambda: bool(collector.lines("backing_off")), "a refused dead letter")
    scenario.kill(collector)
    scenario.narrow_dead_letters(2_000_000)
    return collector


def while_checkpointing(scenario: Scenario) -> Process:
    """The batch is in the store, which refuses to advance its checkpoints."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    with connected(scenario.redis.url) as client:
        # Every key except those of the checkpoints, whose kind alone begins with this letter.
        client.execute_command("ACL", "SETUSER", "default", "resetkeys", "~*}:[^a]*")
        # More than one event may come as two batches, and the second would wait behind the first.
        scenario.publish(stream(2)[:1])
        scenario.wait(lambda: bool(collector.lines("backing_off")), "checkpoints that are refused")
        scenario.wait(lambda: scenario.pending(collector) == 0, "the batch in the store")
        scenario.kill(collector)
        client.execute_command("ACL", "SETUSER", "default", "allkeys")
    return collector


def while_going_back(scenario: Scenario) -> Process:
    """Redis has lost everything, and accepts no new checkpoints."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    with connected(scenario.redis.url) as client:
        # At once: the existing checkpoints could not be advanced either.
        together = client.pipeline()
        together.flushall()
        together.execute_command("ACL", "SETUSER", "default", "-hset")
        together.execute()
        scenario.wait(lambda: collector.metrics("replog_store_rewinds_total")[""] > 0, "a collector that goes back")
        scenario.wait(lambda: bool(collector.lines("backing_off")), "checkpoints that are not accepted")
        scenario.kill(collector)
        client.execute_command("ACL", "SETUSER", "default", "allcommands")
    return collector


def while_committing(scenario: Scenario) -> Process:
    """The broker stands still from before the merge has ended."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    scenario.redis.pause()
    # As above.
    scenario.publish(stream(2)[:1])
    scenario.wait(lambda: scenario.pending(collector) > 0, "a batch before Redis")
    scenario.broker.pause()
    scenario.redis.resume()
    # Settled, and with nobody to commit to.
    scenario.wait(lambda: scenario.pending(collector) == 0, "the batch in the store")
    scenario.kill(collector)
    scenario.broker.resume()
    return collector


def while_joining(scenario: Scenario) -> Process:
    """The broker stands still before the collector has partitions."""
    scenario.publish(stream(1))
    scenario.broker.pause()
    collector = scenario.collector()
    assert not collector.lines("partitions_assigned")
    scenario.kill(collector)
    scenario.broker.resume()
    return collector


def while_idle(scenario: Scenario) -> Process:
    """Nothing is to be read."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    scenario.kill(collector)
    return collector


PHASES = [
    while_merging,
    while_paused,
    while_dead_lettering,
    while_checkpointing,
    while_committing,
    while_going_back,
    while_joining,
    while_idle,
]


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param(phase, id=phase.__name__, marks=[] if phase is while_merging else pytest.mark.long)
        for phase in PHASES
    ],
)
def test_a_collector_is_killed(scenario: Scenario, phase: Callable[[Scenario], Process]) -> None:
    collector = phase(scenario)
    scenario.publish(stream(9))
    collector.start()
    scenario.finish()


@pytest.mark.long
def test_collectors_scale_from_one_to_three_and_back_under_load(scenario: Scenario) -> None:
    one, two, three = (scenario.system.process(COLLECTOR) for _ in range(3))
    with scenario.publishing(stream(1, **MANY)):
        share(one)
        scenario.note("a second collector joins")
        share(one, two)
        scenario.note("a third collector joins")
        three.start()
        scenario.wait(lambda: bool(three.lines("partitions_assigned")), "partitions for the third")
        scenario.note("two collectors leave")
        assert (one.stop(), three.stop()) == (0, 0)
    scenario.finish()
    assert not two.lines("batch_unfinished")


@pytest.mark.long
def test_a_static_member_comes_back_unnoticed(scenario: Scenario) -> None:
    one = scenario.collector(REPLOG_KAFKA_GROUP_INSTANCE_ID="one")
    two = scenario.collector(REPLOG_KAFKA_GROUP_INSTANCE_ID="two")
    share(one, two)
    before = len(two.lines("partitions_assigned"))
    with scenario.publishing(stream(1)):
        scenario.note("a static member is stopped and started")
        assert one.stop() == 0
        one.start()
        scenario.wait(lambda: bool(one.lines("partitions_assigned")), "its partitions again")
    scenario.finish()
    assert len(two.lines("partitions_assigned")) == before


@pytest.mark.long
def test_two_collectors_have_one_static_name(scenario: Scenario) -> None:
    """The one that had it first says so and waits; it takes over once the other is gone."""
    first = scenario.collector(REPLOG_KAFKA_GROUP_INSTANCE_ID="same")
    share(first)
    scenario.note("a second collector is started with the static name of the first")
    second = scenario.collector(REPLOG_KAFKA_GROUP_INSTANCE_ID="same")
    scenario.wait(lambda: bool(first.lines("instance_id_taken")), "a line that names the cause")
    # For several times as long as it takes to be told to be evicted, which is 3 s.
    with scenario.publishing(stream(1), rate=100):
        scenario.progress(second)
    answer = first.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "kafka: instance_id_taken\n")
    assert (first.get("/livez").status_code, second.get("/readyz").status_code) == (200, 200)
    scenario.caught_up()
    assert [len(collector.lines("partitions_assigned")) for collector in (first, second)] == [1, 1]
    scenario.note("the second collector is stopped")
    assert second.stop() == 0
    scenario.publish(stream(2))
    scenario.wait(lambda: first.get("/readyz").status_code == 200, "the first to take over")
    scenario.finish()
    assert (len(first.lines("instance_id_taken")), second.lines("instance_id_taken")) == (1, [])


@pytest.mark.long
def test_an_outage_takes_no_more_memory_the_longer_it_is(scenario: Scenario) -> None:
    """400 MB are published while Redis stands still."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    before = resident_bytes(collector)
    scenario.note("SIGSTOP of Redis, and 400 MB are published")
    scenario.redis.pause()
    for number in range(8):
        scenario.publish_others([large(number * 100 + count) for count in range(100)])
        scenario.wait(lambda: scenario.pending(collector) > 0, "events in hand")
        assert resident_bytes(collector) - before < 150_000_000
    scenario.redis.resume()
    scenario.publish(stream(2))
    scenario.finish()
    assert len(collector.lines("partitions_assigned")) == 1


def large(number: int) -> Message:
    """An event of half a MB, of a record that nothing else is said of."""
    event = {"type": "detail.started", "recordId": f"large-{number}", "detailId": "d"}
    return message(event | {"eventTime": "2021-05-12T12:00:00Z", "note": "x" * 500_000})


def resident_bytes(collector: Process) -> float:
    """The memory that ``collector`` has now."""
    return collector.metrics("process_resident_memory_bytes")[""]


@pytest.mark.long
def test_partitions_are_taken_away_while_redis_stands_still(scenario: Scenario) -> None:
    one, two = scenario.collector(), scenario.collector()
    share(one, two)
    scenario.note("SIGSTOP of Redis")
    scenario.redis.pause()
    scenario.publish(stream(1))
    scenario.wait(lambda: scenario.pending(one) > 0, "a batch before Redis")
    scenario.kill(two)
    scenario.wait(lambda: bool(one.lines("batch_unfinished")), "partitions given up with a batch in hand")
    scenario.redis.resume()
    share(one)
    scenario.finish()


@pytest.mark.long
def test_collectors_are_stopped_again_and_again_while_redis_stands_still(scenario: Scenario) -> None:
    """Each ends in order within 10 s, at whatever point the signal comes."""
    collector = scenario.collector()
    with scenario.publishing(stream(1, **MANY)):
        for number in range(6):
            scenario.wait(lambda: bool(collector.lines("partitions_assigned")), "partitions")
            scenario.note("SIGSTOP of Redis, SIGTERM of a collector")
            scenario.redis.pause()
            if number % 2:
                scenario.wait(lambda: scenario.pending(collector) > 0, "a batch before Redis")
            began_s = time.monotonic()
            assert collector.stop() == 0
            assert time.monotonic() - began_s < 10
            scenario.redis.resume()
            collector.start()
    scenario.finish()


@pytest.mark.long
def test_too_many_dead_letters_while_redis_is_slow(scenario: Scenario) -> None:
    """The collector ends with exit code 3 in time, and nothing is written by a batch that outlives it."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    scenario.note("events of a future schema are published behind a batch that Redis keeps waiting")
    scenario.redis.pause()
    scenario.publish(stream(2))
    scenario.wait(lambda: scenario.pending(collector) > 0, "a batch before Redis")
    scenario.publish_others([Message(b"k", b'{"type":"record.paused"}')] * 5_000)
    scenario.redis.resume()
    assert collector.wait() == 3
    letters = len(scenario.system.dead_letters())
    collector = scenario.collector(REPLOG_DEAD_LETTER_SHARE="1")
    scenario.publish(stream(3))
    scenario.finish()
    assert letters == 0
