"""Answers are as fresh as they say, also where Redis has less than it had, and where the topic grows."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.test_redis_forgets import wait_until_synced
from tests.support.freshness import Witness, let_the_broker_date
from tests.support.scenario import stream
from tests.support.services.kafka_admin import PARTITIONS
from tests.support.system import API

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.scenario import Scenario

pytestmark = pytest.mark.long


@pytest.fixture(params=["scenario", "on_cluster"], ids=["standalone", "one of three masters"])
def on_redis(request: pytest.FixtureRequest) -> Scenario:
    """A single Redis; and a cluster, of which one master is ended."""
    found: Scenario = request.getfixturevalue(request.param)
    return found


def witness_of(scenario: Scenario) -> Witness:
    """One that publishes to the scenario's topic and asks a service of its own."""
    let_the_broker_date(scenario.system)
    return Witness(scenario.system, scenario.system.started(API), dated=True)


def moves_on(scenario: Scenario, witness: Witness) -> None:
    """Return once answers are of a time after now."""
    now_ms = time.time_ns() // 1_000_000
    scenario.wait(lambda: witness.told_ms > now_ms, "answers of a time after this")


def test_no_answer_says_that_it_is_fresher_than_a_redis_with_an_older_file(on_redis: Scenario, tmp_path: Path) -> None:
    collector, witness = on_redis.collector(), witness_of(on_redis)
    redis, older = on_redis.redis, tmp_path / "older"
    with witness.running():
        moves_on(on_redis, witness)
        wait_until_synced(redis)
        shutil.copytree(redis.data_dir, older)
        moves_on(on_redis, witness)
        moves_on(on_redis, witness)
        told_ms = witness.told_ms
        on_redis.note("Redis is restored from an older file")
        redis.kill()
        shutil.rmtree(redis.data_dir)
        shutil.copytree(older, redis.data_dir)
        redis.start()
        on_redis.wait(lambda: bool(collector.lines("store_rewound")), "a collector that goes back")
        moves_on(on_redis, witness)
    times = [answer.as_of_ms for answer in witness.answers]
    assert min(times[times.index(told_ms) :]) < told_ms


def test_no_answer_says_that_it_is_fresher_than_a_partition_that_is_new(scenario: Scenario) -> None:
    scenario.collector()
    witness = witness_of(scenario)
    with witness.running():
        moves_on(scenario, witness)
        scenario.note("the topic gets more partitions")
        scenario.add_partitions(PARTITIONS + 3)
        scenario.wait(lambda: max(witness.partitions) >= PARTITIONS, "events in those")
        moves_on(scenario, witness)
        moves_on(scenario, witness)


def test_no_answer_says_that_it_is_fresher_than_what_follows_an_open_transaction(scenario: Scenario) -> None:
    """What other workers published after it began is acknowledged, and cannot be read before it ends."""
    scenario.collector()
    witness = witness_of(scenario)
    with witness.running():
        moves_on(scenario, witness)
        scenario.note("a worker is killed in mid-transaction, under load")
        scenario.tear_transaction(stream(1), timeout_s=10)
        moves_on(scenario, witness)
        moves_on(scenario, witness)
