"""Three brokers: leaders move. Topics are missing: these brokers make none by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.scenario import POISON, stream
from tests.support.system import share

if TYPE_CHECKING:
    from tests.support.scenario import Scenario
    from tests.support.system import Process

pytestmark = pytest.mark.long

LONG = {"records": 30, "details": 30}


def two_collectors(scenario: Scenario) -> tuple[Process, Process]:
    """Two that have the partitions, and have got on with them."""
    one, two = scenario.collector(), scenario.collector()
    share(one, two)
    scenario.publish(stream(100))
    scenario.caught_up()
    return one, two


def require_first_lives(*collectors: Process) -> None:
    """Nothing had to be started again."""
    assert all(collector.running and len(collector.lines("started")) == 1 for collector in collectors)


def test_each_broker_of_three_is_killed_under_load(on_brokers: Scenario) -> None:
    """Also the one that coordinates the group, and the active controller."""
    brokers, topic = on_brokers.brokers, on_brokers.system.topic
    one, two = two_collectors(on_brokers)
    for number, node in brokers.nodes.items():
        with on_brokers.load(number):
            on_brokers.note("kill -9 of one of three brokers")
            node.kill()
            on_brokers.wait(lambda: number not in brokers.leaders(topic).values(), "other leaders")  # noqa: B023
            on_brokers.progress(one, two)
            node.start()
            brokers.wait_until_in_step(topic)
    on_brokers.finish()
    require_first_lives(one, two)


def test_leaders_move_in_order_under_load(on_brokers: Scenario) -> None:
    """As in an upgrade: each broker is stopped and started, and then the leaders go back."""
    brokers, topic = on_brokers.brokers, on_brokers.system.topic
    one, two = two_collectors(on_brokers)
    preferred = brokers.leaders(topic)
    for number, node in brokers.nodes.items():
        with on_brokers.publishing(stream(number, **LONG)):
            on_brokers.note("one of three brokers is stopped and started")
            node.stop()
            node.start()
            brokers.wait_until_in_step(topic)
    assert brokers.leaders(topic) != preferred
    with on_brokers.load(9):
        on_brokers.note("preferred leaders are elected")
        brokers.elect_preferred_leaders(topic)
        on_brokers.progress(one, two)
    assert brokers.leaders(topic) == preferred
    on_brokers.finish()
    require_first_lives(one, two)


def test_the_topic_is_missing_at_first(on_brokers: Scenario) -> None:
    topic = on_brokers.system.topic
    on_brokers.note("the topic is deleted before a collector starts, and made later")
    on_brokers.delete_topic(topic)
    collector = on_brokers.collector()
    on_brokers.wait(lambda: len(collector.lines("backing_off")) > 1, "a collector that waits")
    assert topic in collector.lines("backing_off")[-1]["error"]
    assert collector.get("/livez").status_code == 200
    on_brokers.create_topic(topic)
    on_brokers.publish(stream(1))
    on_brokers.finish()
    require_first_lives(collector)


def test_the_topic_is_deleted_and_made_anew(on_brokers: Scenario) -> None:
    """What was in it is in the store; what comes after it is read from the beginning, where no commit is any more."""
    topic = on_brokers.system.topic
    collector = on_brokers.collector()
    on_brokers.publish(stream(1))
    on_brokers.caught_up()
    on_brokers.note("the topic is deleted while a collector runs, and made anew")
    on_brokers.delete_topic(topic)
    on_brokers.create_topic(topic)
    on_brokers.publish(stream(2))
    on_brokers.finish()
    require_first_lives(collector)


def test_the_dead_letter_topic_is_missing_for_a_while(on_brokers: Scenario) -> None:
    """The partition stops, nothing is dropped, and it goes on once the topic is there."""
    letters = f"{on_brokers.system.topic}.dlq"
    collector = on_brokers.collector()
    on_brokers.publish_others(POISON)
    on_brokers.caught_up()
    on_brokers.note("the dead-letter topic is deleted")
    on_brokers.delete_topic(letters)
    with on_brokers.publishing(stream(1)):
        on_brokers.publish_others(POISON)
        on_brokers.wait(lambda: bool(collector.lines("backing_off")), "a collector that waits")
        assert letters in collector.lines("backing_off")[-1]["error"]
    assert on_brokers.lag() > 0
    assert collector.get("/livez").status_code == 200
    on_brokers.create_topic(letters)
    on_brokers.finish()
    poison = {given.value for given in POISON if given.value is not None}
    assert {letter.value for letter in on_brokers.system.dead_letters()} == poison
    require_first_lives(collector)
