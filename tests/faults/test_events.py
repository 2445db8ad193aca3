"""What is published is wrong, comes twice, or is of another time."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from replog_collector.pipeline.dead_letter_limit import JUDGED_EVENTS
from tests.support import batches, streams
from tests.support.scenario import POISON, stream
from tests.support.services.kafka_admin import PARTITIONS
from tests.support.services.redis import connected
from tests.support.system import Message, message, share

if TYPE_CHECKING:
    from tests.support.scenario import Scenario
    from tests.support.streams import Event
    from tests.support.system import Process


def jumping(random: Random, events: list[Event]) -> list[Event]:
    """``events`` as told by clocks that jump by up to a year."""
    jumps = [timedelta(days=days) for days in (0, 0, -365, 365, 1)]
    return [
        event | {"eventTime": streams.text_of(random, streams.moment(random) + random.choice(jumps))}
        for event in events
    ]


def test_poison_among_good_events_is_dead_lettered(scenario: Scenario) -> None:
    collector = scenario.collector()
    with scenario.publishing(stream(1)):
        for _ in range(20):
            scenario.note("poison is published")
            scenario.publish_others(POISON)
    scenario.finish()
    poison = [given.value for given in POISON if given.value is not None]
    assert sorted(letter.value or b"" for letter in scenario.system.dead_letters()) == sorted(poison * 20)
    assert collector.metrics("replog_tombstones_total") == {"": 20}


def test_what_cannot_be_read_holds_up_nobody_else(scenario: Scenario) -> None:
    """On every partition, with two collectors, of which one starts when it is all there."""
    most = {"REPLOG_MAX_BATCH_BYTES": "1000000"}
    scenario.collector(**most)
    header_name = batches.batch([batches.Raw(b"{}", headers=[(b"r\xe9gion", b"eu")])])
    with scenario.publishing(stream(1)):
        for data in (header_name, batches.bomb(20_000_000), batches.not_decompressing()):
            scenario.note("a batch is published that cannot be read")
            scenario.publish_batch(data)
    scenario.collector(**most)
    scenario.publish(stream(2))
    scenario.finish()
    letters = scenario.system.dead_letters()
    # Where partitions move, a letter may come twice.
    found = {dict(letter.headers)["replog.partition"] + dict(letter.headers)["replog.offset"] for letter in letters}
    assert len(found) == 3 * PARTITIONS
    named = [letter for letter in letters if letter.key is not None]
    assert {(letter.key, letter.value, letter.headers[0]) for letter in named} == {(b"k", b"{}", ("r\\xe9gion", b"eu"))}
    assert sum("REPLOG_MAX_BATCH_BYTES" in dict(letter.headers)["replog.error"].decode() for letter in letters) >= 4


def test_everything_is_delivered_twice(scenario: Scenario) -> None:
    scenario.collector()
    events = stream(1)
    scenario.publish(events)
    scenario.note("everything is published again")
    scenario.publish_others([message(event) for event in Random(7).sample(events, len(events))])
    scenario.finish()


def test_clocks_jump(scenario: Scenario) -> None:
    scenario.collector()
    scenario.note("event times jump by up to a year")
    scenario.publish(jumping(Random(1), stream(1)))
    scenario.finish()


def test_a_key_of_the_wrong_type_holds_up_nobody_else(scenario: Scenario) -> None:
    """Somebody wrote over one record's details."""
    collector = scenario.collector()
    good = stream(1)
    broken: Event = {
        "type": "detail.started",
        "recordId": "broken",
        "detailId": "d",
        "eventTime": "2021-05-12T12:00:00Z",
    }
    scenario.publish_others([message(broken)])
    scenario.caught_up()
    with connected(scenario.redis.url) as client:
        for key in client.scan_iter(match="*broken*"):
            scenario.note("a key of a record is overwritten")
            client.set(key, "no hash")
    with scenario.publishing(good):
        scenario.publish_others([message(broken | {"detailId": f"d{number}"}) for number in range(10)])
    scenario.finish()
    letters = scenario.system.dead_letters()
    assert len(letters) == 10
    assert all(b"WRONGTYPE" in dict(letter.headers)["replog.error"] for letter in letters)
    counted = collector.metrics("replog_dead_letters_total")
    assert {reason: number for reason, number in counted.items() if number} == {'reason="refused"': 10}


@pytest.mark.long
def test_a_topic_of_a_future_schema_is_not_drained(scenario: Scenario) -> None:
    collector = scenario.collector()
    future = [Message(b"future", b'{"type":"record.paused"}')] * 6000
    scenario.note("6000 events of a future schema are published")
    scenario.publish_others(future)
    assert collector.wait() == 3
    # A share is judged of so many events at least; a first batch may have one less.
    assert len(scenario.system.dead_letters()) < JUDGED_EVENTS
    assert "REPLOG_DEAD_LETTER_SHARE" in collector.log


@pytest.mark.long
def test_a_dead_letter_topic_that_takes_nothing_stops_and_drops_nothing(scenario: Scenario) -> None:
    scenario.narrow_dead_letters(10)
    collector = scenario.collector()
    with scenario.publishing(stream(1)):
        scenario.note("the dead-letter topic takes nothing")
        scenario.publish_others(POISON)
        scenario.wait(lambda: len(collector.lines("backing_off")) > 3, "a dead-letter topic that is waited for")
        scenario.narrow_dead_letters(2_000_000)
    scenario.finish()
    # None of it in vain: what was sent before may be there twice.
    assert {letter.value for letter in scenario.system.dead_letters()} == {
        given.value for given in POISON if given.value is not None
    }


@pytest.mark.long
def test_retention_passes_the_position(scenario: Scenario) -> None:
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    assert collector.stop() == 0
    before = sum(scenario.ends().values())
    gone = stream(2)
    scenario.publish_others([message(event) for event in gone])
    scenario.note("retention deletes what was not read")
    deleted = scenario.delete_everything_in_the_topic() - before
    scenario.gone("what Kafka deleted; counted and logged")
    scenario.publish(stream(3))
    collector.start()
    scenario.finish()
    assert collector.metrics("replog_offsets_skipped_total") == {"": deleted}
    ranges = [(line["first"], line["last"]) for line in collector.lines("offsets_skipped")]
    assert sum(last - first + 1 for first, last in ranges) == deleted == len(gone)


@pytest.mark.long
def test_retention_passes_the_position_of_a_collector_that_runs(scenario: Scenario) -> None:
    """What it had fetched before it stood still is not gone."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    received = collector.metrics("replog_events_received_total")[""]
    # Of records that nothing else is said of, so that it does not matter which of them are gone.
    gone = [
        {"type": "detail.started", "recordId": f"gone-{number}", "detailId": "d", "eventTime": "2021-05-12T12:00:00Z"}
        for number in range(2000)
    ]
    scenario.note("SIGSTOP of a collector, and retention deletes what it did not read")
    collector.pause()
    scenario.publish_others([message(event) for event in gone])
    scenario.delete_everything_in_the_topic()
    collector.resume()
    scenario.gone("what Kafka deleted; counted and logged")
    events = stream(3)
    scenario.publish(events)
    scenario.finish()
    skipped = collector.metrics("replog_offsets_skipped_total")[""]
    assert skipped > 0
    assert skipped == sum(line["last"] - line["first"] + 1 for line in collector.lines("offsets_skipped"))
    assert collector.metrics("replog_events_received_total")[""] - received + skipped == len(gone) + len(events)


@pytest.mark.long
def test_the_topic_gets_more_partitions(scenario: Scenario) -> None:
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.note("the topic gets more partitions")
    scenario.add_partitions(7)
    # Some of it into partitions that the collector does not know of.
    scenario.publish(stream(2))
    scenario.wait(lambda: len(collector.lines("partitions_assigned")[-1]["partitions"]) == 7, "all 7 partitions")
    scenario.publish(stream(3))
    scenario.finish()


@pytest.mark.long
def test_transactions_are_committed_aborted_and_torn(scenario: Scenario) -> None:
    """A transaction that stays open for longer than the watchdog waits holds up what follows it, and nothing else."""
    collectors = [scenario.collector(REPLOG_WATCHDOG_S="30") for _ in range(2)]
    share(*collectors)
    with scenario.publishing(stream(1)):
        scenario.note("events are published in transactions that are committed, and in some that are aborted")
        scenario.publish_in_transactions(stream(2), commit=True)
        scenario.publish_in_transactions(stream(3), commit=False)
    scenario.caught_up()
    scenario.note("a worker is killed in mid-transaction")
    scenario.tear_transaction(stream(4), timeout_s=50)
    scenario.publish(stream(5))
    scenario.wait(lambda: all(lag_of(collector) == 0 for collector in collectors), "collectors that have all there is")
    assert scenario.lag() > 0
    scenario.finish()
    assert all(lag_of(collector) == 0 for collector in collectors)
    for collector in collectors:
        assert (collector.running, collector.lines("stalled"), len(collector.lines("started"))) == (True, [], 1)


def lag_of(collector: Process) -> float:
    """What ``collector`` could read and has not applied."""
    return sum(collector.metrics("replog_consumer_lag").values())
