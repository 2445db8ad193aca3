"""Stores are copied, backed up, rebuilt and moved while they are written, and the commands are killed meanwhile."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.operator_commands import DIFFERENT, EQUAL, OperatorCommands
from tests.support.scenario import stream
from tests.support.services.redis import connected
from tests.support.services.redis_cluster import start_cluster
from tests.support.steady_client import SteadyClient
from tests.support.system import API

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.scenario import Scenario
    from tests.support.services.redis_cluster import RedisCluster
    from tests.support.system import Process

pytestmark = pytest.mark.long

#: Events that are in the store before it is moved, and what clients ask for.
BEFORE = stream(1, records=40)
PATHS = ["list/busy", "page/busy?pageNumber=1&pageSize=5", "detail/list/run-1-0", "overview/run-1-0", "run-1-0"]
#: Seconds between two rounds of questions of a client.
PAUSE_S = 0.05


class Move:
    """A system of this test, and the store to which it moves."""

    def __init__(self, scenario: Scenario, url: str, prefix: str) -> None:
        self.scenario = scenario
        self.commands = OperatorCommands(scenario.system)
        self.prefix = prefix
        self.url = url
        #: What is given to commands, and what services are started with.
        self.place = f"{url}#{prefix}"
        self.variables = {"REPLOG_REDIS_URL": url, "REPLOG_REDIS_PREFIX": prefix}

    def run_killed(self, *words: str) -> None:
        """Run a command that fills the new store, killed on its way.

        A copy notes which buckets it has; a rebuild moves checkpoints after it has merged something.
        """
        self.scenario.note(f"kill -9 of replog {words[0]}")
        keys = "{9}:copied" if words[0] == "copy" else "{3*"
        self.commands.kill(*words, redis_url=self.url, keys=f"{self.prefix}:{keys}")

    def switch(self, collectors: list[Process]) -> list[Process]:
        """Restart the collectors on the new store, one after the other; returns those that run then."""
        new = []
        for collector in collectors:
            self.scenario.note("a collector is restarted on the new store")
            self.scenario.stop(collector)
            new.append(self.scenario.collector(**self.variables))
            self.scenario.wait(lambda: bool(new[-1].lines("partitions_assigned")), "partitions for it")
        return new

    def service(self, **variables: str) -> Process:
        """A query service, ready, that takes any number of requests."""
        api = self.scenario.system.started(API, REPLOG_API_REQUESTS_PER_S="0", **variables)
        self.scenario.wait(lambda: api.get("/readyz").is_success, "a query service that is ready")
        return api

    def finish(self) -> None:
        """Require that the new store is right, and its indexes, sums and lists with it."""
        self.scenario.finish(variables=self.variables)
        verified = self.commands.run("verify", **self.variables)
        assert verified.code == EQUAL, verified


@pytest.fixture
def move(scenario: Scenario) -> Move:
    """To another prefix of the same Redis."""
    return Move(scenario, scenario.redis.url, f"{scenario.system.topic}.new")


@pytest.fixture
def cluster(redis_binary: Path, tmp_path: Path) -> Iterator[RedisCluster]:
    cluster = start_cluster(redis_binary, tmp_path / "cluster")
    yield cluster
    cluster.close()


def started(move: Move, number: int = 1) -> list[Process]:
    """Collectors on the old store, which has events."""
    collectors = [move.scenario.collector() for _ in range(number)]
    move.scenario.publish(BEFORE)
    move.scenario.caught_up()
    return collectors


def copied_under_load(move: Move) -> None:
    collectors = started(move)
    copy = ("copy", "--to", move.place, "--json")
    with move.scenario.load(2):
        move.run_killed(*copy)
        move.scenario.note("the copy is run again")
        copied = move.commands.run(*copy)
        assert copied.code == 0, copied
        assert json.loads(copied.out)["resumed_buckets"] > 0
        (new,) = move.switch(collectors)
        move.scenario.progress(new)
    move.finish()


def test_a_store_is_copied_under_load_and_the_copy_is_killed(move: Move) -> None:
    """Collectors go on with the copy."""
    copied_under_load(move)


def test_a_single_redis_becomes_a_cluster_under_load(scenario: Scenario, cluster: RedisCluster) -> None:
    scenario.note("the new store is a cluster of three masters")
    copied_under_load(Move(scenario, cluster.url, scenario.system.topic))


def test_a_store_is_restored_from_a_backup_that_was_made_under_load(move: Move, tmp_path: Path) -> None:
    """What came after the backup is read from the topic again."""
    scenario = move.scenario
    (collector,) = started(move)
    backup = str(tmp_path / "backup.replog")
    with scenario.load(2):
        scenario.note("a backup is made under load")
        made = move.commands.run("copy", "--to", backup)
        assert made.code == 0, made
        scenario.progress(collector)
    scenario.stop(collector)
    scenario.note("FLUSHALL")
    with connected(scenario.redis.url) as client:
        client.flushall()
    restore = ("copy", "--from", backup, "--to", move.place)
    move.run_killed(*restore)
    scenario.note("the restore is run again")
    restored = move.commands.run(*restore)
    assert restored.code == 0, restored
    collector = scenario.collector(**move.variables)
    move.finish()
    # What the backup has was not read again.
    assert 0 < sum(collector.metrics("replog_events_total").values()) <= len(scenario.events) - len(BEFORE)


def rebuilt_under_load(move: Move, *rebuild: str) -> None:
    """Rebuild the new store, and compare the two, while the live one gets more: they may be different then.

    It gets only so much, or a slow comparison would never come to its end.
    """
    with move.scenario.publishing(stream(2, records=60)):
        move.run_killed(*rebuild)
        move.scenario.note("the rebuild is run again")
        rebuilt = move.commands.run(*rebuild)
        assert rebuilt.code in {EQUAL, DIFFERENT}, rebuilt


def test_a_store_is_rebuilt_beside_the_live_one_under_load(move: Move) -> None:
    """The live one serves all the while; then both answer the same."""
    scenario = move.scenario
    started(move)
    rebuild = ("rebuild", "--into", move.place)
    with SteadyClient([move.service().url], PATHS, pause_s=PAUSE_S) as client:
        rebuilt_under_load(move, *rebuild)
    assert not client.failures
    scenario.finish()
    rebuilt = move.commands.run(*rebuild)
    assert rebuilt.code == EQUAL, rebuilt
    move.finish()


def another_round(scenario: Scenario, client: SteadyClient) -> None:
    """Return once everything was asked that was not under way before."""
    before = len(client.answers)
    scenario.wait(lambda: len(client.answers) > before + len(PATHS), "more answers")


def test_a_new_layout_takes_over_without_downtime(move: Move) -> None:
    """A second store is rebuilt, then collectors and clients change over to it, under load all the while."""
    scenario = move.scenario
    collectors, old_api = started(move, 2), move.service()
    rebuild = ("rebuild", "--into", move.place)
    with SteadyClient([old_api.url], PATHS, pause_s=PAUSE_S) as client:
        rebuilt_under_load(move, *rebuild)
        with scenario.load(3):
            scenario.progress(*move.switch(collectors))
        scenario.caught_up()
        scenario.note("clients go over to the new store, and the old one is dropped")
        client.move_to(move.service(**move.variables).url)
        another_round(scenario, client)
        assert old_api.stop() == 0
        dropped = move.commands.run("rebuild", "--drop", f"#{scenario.system.topic}", **move.variables)
        assert dropped.code == 0, dropped
        another_round(scenario, client)
    assert not client.failures
    move.finish()
