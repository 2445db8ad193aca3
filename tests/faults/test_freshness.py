"""Answers are as fresh as they say, also where Redis has less than it had, and where the topic grows."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.freshness import VersionRecorder, let_the_broker_date
from tests.support.scenario import stream
from tests.support.services.kafka_admin import PARTITIONS
from tests.support.services.redis import wait_until_synced
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


def recorder_of(scenario: Scenario) -> VersionRecorder:
    """One that publishes to the scenario's topic and asks a service of its own."""
    let_the_broker_date(scenario.system)
    return VersionRecorder(scenario.system, scenario.system.started(API), dated=True)


def moves_on(scenario: Scenario, recorder: VersionRecorder) -> None:
    """Return once answers are of a time after now."""
    now_ms = time.time_ns() // 1_000_000
    scenario.wait(lambda: recorder.told_ms > now_ms, "answers of a time after this")


def test_no_answer_says_that_it_is_fresher_than_a_redis_with_an_older_file(on_redis: Scenario, tmp_path: Path) -> None:
    collector, recorder = on_redis.collector(), recorder_of(on_redis)
    redis, older = on_redis.redis, tmp_path / "older"
    with recorder.running():
        moves_on(on_redis, recorder)
        wait_until_synced(redis)
        shutil.copytree(redis.data_dir, older)
        moves_on(on_redis, recorder)
        moves_on(on_redis, recorder)
        told_ms = recorder.told_ms
        on_redis.note("Redis is restored from an older file")
        redis.kill()
        shutil.rmtree(redis.data_dir)
        shutil.copytree(older, redis.data_dir)
        redis.start()
        on_redis.wait(lambda: bool(collector.lines("store_rewound")), "a collector that goes back")
        moves_on(on_redis, recorder)
    times = [answer.as_of_ms for answer in recorder.answers]
    assert min(times[times.index(told_ms) :]) < told_ms


def test_no_answer_says_that_it_is_fresher_than_a_partition_that_is_new(scenario: Scenario) -> None:
    scenario.collector()
    recorder = recorder_of(scenario)
    with recorder.running():
        moves_on(scenario, recorder)
        scenario.note("the topic gets more partitions")
        scenario.add_partitions(PARTITIONS + 3)
        scenario.wait(lambda: max(recorder.partitions) >= PARTITIONS, "events in those")
        moves_on(scenario, recorder)
        moves_on(scenario, recorder)


def test_no_answer_says_that_it_is_fresher_than_what_follows_an_open_transaction(scenario: Scenario) -> None:
    """What other workers published after it began is acknowledged, and cannot be read before it ends."""
    scenario.collector()
    recorder = recorder_of(scenario)
    with recorder.running():
        moves_on(scenario, recorder)
        scenario.note("a worker is killed in mid-transaction, under load")
        scenario.tear_transaction(stream(1), timeout_s=10)
        moves_on(scenario, recorder)
        moves_on(scenario, recorder)
