"""The end of every record is published, whatever dies between the merge and the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.scenario import stream
from tests.support.services.redis import connected
from tests.support.system import COLLECTOR, share

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.scenario import Scenario
    from tests.support.system import Process

ANY_SIZE = 1_000_000


@pytest.fixture
def outcomes(scenario: Scenario) -> Scenario:
    """A scenario whose collectors publish outcomes."""
    scenario.system.publish_outcomes()
    return scenario


def published(collector: Process) -> float:
    """Outcomes that a collector has published."""
    return sum(collector.metrics("replog_outcomes_published_total").values())


def before_the_reply(scenario: Scenario) -> None:
    """Redis has the merge, and takes it once its caller is dead."""
    scenario.killed_while_merging()


def before_publishing(scenario: Scenario) -> None:
    """The outcomes topic takes nothing; the batch is in the store already."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    scenario.narrow_outcomes(10)
    scenario.publish(stream(2))
    scenario.wait(lambda: bool(collector.lines("backing_off")), "outcomes that are refused")
    scenario.kill(collector)
    scenario.narrow_outcomes(ANY_SIZE)


def before_removing(scenario: Scenario) -> None:
    """Outcomes are published, and Redis does not let them be removed."""
    collector = scenario.collector()
    scenario.narrow_outcomes(10)
    scenario.publish(stream(1))
    scenario.wait(lambda: bool(collector.lines("backing_off")), "outcomes that are refused")
    with connected(scenario.redis.url) as client:
        client.execute_command("ACL", "SETUSER", "default", "-zrem")
        scenario.narrow_outcomes(ANY_SIZE)
        scenario.wait(lambda: len(scenario.system.outcomes()) > 0, "outcomes that are published")
        refused = 'kind="noperm"'
        scenario.wait(lambda: collector.metrics("replog_store_errors_total")[refused] > 0, "outcomes that stay")
        scenario.kill(collector)
        client.execute_command("ACL", "SETUSER", "default", "allcommands")


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(before_the_reply, id="before the reply"),
        pytest.param(before_publishing, id="before publishing", marks=pytest.mark.long),
        pytest.param(before_removing, id="before removing", marks=pytest.mark.long),
    ],
)
def test_a_collector_that_publishes_outcomes_is_killed(outcomes: Scenario, point: Callable[[Scenario], None]) -> None:
    """Another one takes over."""
    point(outcomes)
    outcomes.collector()
    outcomes.publish(stream(9))
    outcomes.outcomes_are_complete()


@pytest.mark.long
@pytest.mark.parametrize("server", ["the broker", "Redis"])
def test_a_server_dies_while_outcomes_are_published(outcomes: Scenario, server: str) -> None:
    """It comes back with what it had."""
    collector = outcomes.collector()
    with outcomes.publishing(stream(1, records=60)):
        outcomes.wait(lambda: published(collector) > 0, "an outcome")
        outcomes.note(f"kill -9 of {server}")
        process = outcomes.redis if server == "Redis" else outcomes.broker
        process.kill()
        outcomes.wait(lambda: bool(collector.lines("backing_off")), "a collector that waits")
        process.start()
    outcomes.outcomes_are_complete()


@pytest.mark.long
def test_collectors_come_and_go_while_outcomes_are_published(outcomes: Scenario) -> None:
    """Partitions change hands under load; what one had merged, it or the next one publishes."""
    one, two, three = (outcomes.system.process(COLLECTOR) for _ in range(3))
    with outcomes.load(1):
        share(one)
        outcomes.note("a second collector joins")
        share(one, two)
        outcomes.wait(lambda: published(two) > 0, "outcomes of the second")
        outcomes.note("a third collector joins, and the first one is killed")
        three.start()
        one.kill()
        outcomes.wait(lambda: published(three) > 0, "outcomes of the third")
        outcomes.note("a collector leaves")
        outcomes.stop(two)
    outcomes.outcomes_are_complete()


@pytest.mark.long
def test_redis_forgets_outcomes_with_everything_else(on_nothing_kept: Scenario) -> None:
    """While some wait to be published: they are merged again, and have the same ids."""
    scenario = on_nothing_kept
    scenario.system.publish_outcomes()
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    scenario.narrow_outcomes(10)
    scenario.publish(stream(2))
    scenario.wait(lambda: bool(collector.lines("backing_off")), "outcomes that are refused")
    scenario.note("kill -9 of Redis")
    scenario.redis.kill()
    scenario.redis.start()
    scenario.narrow_outcomes(ANY_SIZE)
    scenario.wait(lambda: bool(collector.lines("store_rewound")), "a collector that goes back")
    scenario.outcomes_are_complete()
