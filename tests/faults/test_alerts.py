"""Every alert fires when its fault is made, and recovers: a real Prometheus evaluates the rules on a running system.

All windows and delays of the rules are a thirtieth, so five minutes are ten seconds.
"""

from __future__ import annotations

import itertools
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer

from tests.support.monitored import Asking, api_of, collector_of, empty_panels
from tests.support.prometheus import ALERT_S, Prometheus, rules_of
from tests.support.scenario import POISON, stream
from tests.support.services.process import wait_until
from tests.support.services.redis import connected
from tests.support.system import message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.scenario import Scenario
    from tests.support.system import Process

pytestmark = pytest.mark.long

SHORTENED_BY = 30
#: Longer than the streams' events, which are of 2021, are ago; the event that is staler is of 1980.
STALE_AFTER_S = 30 * 365 * 86400
STALE = {"recordId": "stale", "taskKey": "busy"}
CLIENTS = 3
ANSWER_S = 10.0


class Monitored:
    """A scenario with one collector and one query service, both scraped."""

    def __init__(self, scenario: Scenario, prometheus: Prometheus, collector: Process, api: Process) -> None:
        self.scenario = scenario
        self.prometheus = prometheus
        self.collector = collector
        self.api = api

    def known(self, number: int) -> None:
        """Publish as many events again, which change nothing."""
        messages = list(map(message, self.scenario.events))
        self.scenario.publish_others(list(itertools.islice(itertools.cycle(messages), number)))


def events_are_rejected(system: Monitored) -> None:
    system.scenario.note("events that break the contract")
    system.scenario.publish_others(POISON)
    system.prometheus.fires("ReplogDeadLetters")


def events_come_late(system: Monitored) -> None:
    system.scenario.note("events that were published an hour ago")
    producer = Producer({"bootstrap.servers": system.scenario.broker.address, "log_level": 0})
    messages = itertools.cycle(map(message, system.scenario.events))

    def fires() -> bool:
        for one in itertools.islice(messages, 20):
            hour_ago_ms = int((time.time() - 3600) * 1000)
            producer.produce(system.scenario.system.topic, one.value, one.key, timestamp=hour_ago_ms)
        producer.flush(ANSWER_S)
        return "ReplogEventsOld" in system.prometheus.firing()

    assert wait_until(fires, ALERT_S)


def a_run_is_silent(system: Monitored) -> None:
    system.scenario.note("a run that began in 1980")
    system.scenario.publish([{"type": "record.started", "eventTime": "1980-05-12T12:00:00Z", **STALE}])
    system.prometheus.fires("ReplogStaleRecords")
    system.scenario.note("and ends")
    finished = {"type": "record.finished", "status": "SUCCESS", "eventTime": "1980-05-12T13:00:00Z", **STALE}
    system.scenario.publish([finished])


def redis_stands_still(system: Monitored) -> None:
    """Under load, and with more events than may wait."""
    system.scenario.note("SIGSTOP of Redis, and 110,000 events")
    system.scenario.redis.pause()
    with system.scenario.load(2):
        system.known(110_000)
        system.prometheus.fires(
            "ReplogPartitionStuck",
            "ReplogAnswersOld",
            "ReplogLagGrowing",
            "ReplogStoreErrors",
            "ReplogApiSlow",
            "ReplogApiErrorBudget 1h",
            "ReplogApiErrorBudget 6h",
        )
        system.scenario.note("SIGCONT of Redis")
        system.scenario.redis.resume()
    system.scenario.caught_up()


def redis_loses_everything(system: Monitored) -> None:
    system.scenario.note("FLUSHALL")
    with connected(system.scenario.redis.url) as client:
        client.flushall()
    system.prometheus.fires("ReplogStoreRewound")
    system.scenario.caught_up()


def nobody_answers(system: Monitored) -> None:
    system.scenario.note("SIGTERM of the query service")
    assert system.api.stop() == 0
    system.prometheus.fires("ReplogApiDown")
    system.api.start()


def nobody_collects_until_events_are_deleted(system: Monitored) -> None:
    """Only events that are known already, so that the oracle may have its say."""
    system.scenario.note("SIGTERM of the collector, and the topic's retention")
    assert system.collector.stop() == 0
    system.prometheus.fires("ReplogCollectorsDown")
    system.known(100)
    system.scenario.delete_everything_in_the_topic()
    system.collector.start()
    system.prometheus.fires("ReplogEventsLost")


def a_stranger(system: Monitored) -> Consumer:
    """Joins the group of the collectors, and reads nothing."""
    topic = system.scenario.system.topic
    consumer = Consumer(
        {
            "bootstrap.servers": system.scenario.broker.address,
            "group.id": topic,
            "partition.assignment.strategy": "roundrobin",
            "log_level": 0,
        }
    )
    consumer.subscribe([topic])
    return consumer


def others_take_partitions(system: Monitored) -> None:
    system.scenario.note("a stranger joins the group")
    consumer = a_stranger(system)

    def fires() -> bool:
        consumer.poll(0.5)
        return "ReplogPartitionsUnowned" in system.prometheus.firing()

    try:
        assert wait_until(fires, ALERT_S)
    finally:
        consumer.close()


def others_come_and_go(system: Monitored) -> None:
    system.scenario.note("strangers come and go")

    def fires() -> bool:
        consumer = a_stranger(system)
        wait_until(lambda: consumer.poll(0.1) is not None or bool(consumer.assignment()), ANSWER_S)
        consumer.close()
        return "ReplogRebalancing" in system.prometheus.firing()

    assert wait_until(fires, ALERT_S)


FAULTS: list[Callable[[Monitored], None]] = [
    events_are_rejected,
    events_come_late,
    a_run_is_silent,
    redis_stands_still,
    redis_loses_everything,
    nobody_answers,
    nobody_collects_until_events_are_deleted,
    others_take_partitions,
    others_come_and_go,
]
#: The alert whose fault takes a system of its own.
OUTCOMES = "ReplogOutcomesWaiting"


def test_each_alert_fires_and_recovers_and_each_panel_has_data(scenario: Scenario, tmp_path: Path) -> None:
    rules = rules_of(SHORTENED_BY)
    stale_after = {"REPLOG_STALE_AFTER_S": str(STALE_AFTER_S)}
    collector, api = (make(scenario.system, **stale_after) for make in (collector_of, api_of))
    collector.start()
    api.start()
    scenario.publish(stream(1))
    scenario.caught_up()
    with ExitStack() as stack:
        prometheus = stack.enter_context(Prometheus(tmp_path / "prometheus", rules))
        for _ in range(CLIENTS):
            stack.enter_context(Asking(api.url))
        began_s = time.time()
        prometheus.watch("collector", collector)
        prometheus.watch("api", api)
        # A service counts as down before its first scrape, and the rules wait only seconds for that.
        prometheus.recovers(*alerts_of(rules))
        system = Monitored(scenario, prometheus, collector, api)
        for fault in FAULTS:
            fault(system)
        prometheus.recovers(*alerts_of(rules))
        assert prometheus.ever("firing") == alerts_of(rules) - {OUTCOMES}
        assert not empty_panels(prometheus, began_s, time.time())
    scenario.finish()


def test_outcomes_that_wait_are_an_alert(scenario: Scenario, tmp_path: Path) -> None:
    scenario.system.publish_outcomes()
    collector = collector_of(scenario.system)
    with Prometheus(tmp_path / "prometheus", rules_of(SHORTENED_BY)) as prometheus:
        collector.start()
        prometheus.watch("collector", collector)
        scenario.note("the outcomes topic takes nothing")
        scenario.narrow_outcomes(10)
        scenario.publish(stream(1))
        prometheus.fires(OUTCOMES)
        scenario.note("and takes everything again")
        scenario.narrow_outcomes(2_000_000)
        prometheus.recovers(OUTCOMES)
    scenario.outcomes_are_complete()


def alerts_of(rules: dict[str, list[dict[str, list[dict[str, dict[str, str]]]]]]) -> set[str]:
    """The names of all alerts, with the window of those that have several."""
    found = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    return {f"{rule['alert']} {rule['labels'].get('window', '')}".strip() for rule in found}
