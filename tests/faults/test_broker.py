"""The broker dies or stands still."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.scenario import stream

if TYPE_CHECKING:
    from tests.support.scenario import Scenario

pytestmark = pytest.mark.long

LONG = {"records": 40, "details": 40}


def test_the_broker_is_killed_and_a_collector_while_it_is_away(scenario: Scenario) -> None:
    one = scenario.collector()
    with scenario.publishing(stream(1, **LONG)):
        scenario.wait(lambda: sum(one.metrics("replog_events_total").values()) > 0, "progress")
        scenario.note("kill -9 of the broker")
        scenario.broker.kill()
        scenario.wait(lambda: bool(one.lines("backing_off")), "a collector that waits")
        scenario.kill(one)
        one.start()
        scenario.wait(lambda: bool(one.lines("backing_off")), "a collector that waits to join")
        scenario.broker.start()
    scenario.finish()


def test_the_broker_is_killed_again_and_again(scenario: Scenario) -> None:
    one, two = scenario.collector(), scenario.collector()
    with scenario.publishing(stream(1, **LONG)):
        for _ in range(2):
            scenario.note("kill -9 of the broker")
            scenario.broker.kill()
            scenario.broker.start()
    scenario.finish()
    assert one.running
    assert two.running


def test_the_broker_stands_still_for_longer_than_the_watchdog_waits(scenario: Scenario) -> None:
    """An outage that is known is no reason to end."""
    collector = scenario.collector(REPLOG_WATCHDOG_S="30")
    scenario.publish(stream(1))
    scenario.note("SIGSTOP of the broker for 50 s")
    scenario.broker.pause()
    until = time.monotonic() + 50
    scenario.wait(lambda: time.monotonic() > until, "50 s")
    assert collector.get("/livez").status_code == 200
    scenario.broker.resume()
    scenario.publish(stream(2))
    scenario.finish()
