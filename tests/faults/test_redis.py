"""Redis dies, stands still, is full, or comes back with less than it had."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.scenario import stream
from tests.services.process import wait_until
from tests.services.redis import connected

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.scenario import Scenario
    from tests.services.redis import OwnRedis
    from tests.services.redis_sentinel import RedisSentinel

pytestmark = pytest.mark.long

LONG = {"records": 40, "details": 40}


@pytest.fixture(params=["scenario", "on_always", "on_cluster"], ids=["everysec", "always", "cluster"])
def on_redis(request: pytest.FixtureRequest) -> Scenario:
    """A single Redis, synced each second or at each write; and a cluster, of which one master is ended."""
    found: Scenario = request.getfixturevalue(request.param)
    return found


def test_redis_is_killed_again_and_again(on_redis: Scenario) -> None:
    collector = on_redis.collector()
    with on_redis.publishing(stream(1, **LONG)):
        for _ in range(3):
            settled = sum(collector.metrics("replog_events_total").values())
            on_redis.wait(lambda: sum(collector.metrics("replog_events_total").values()) > settled, "progress")  # noqa: B023
            on_redis.note("kill -9 of Redis")
            on_redis.redis.kill()
            on_redis.redis.start()
    on_redis.finish()


def test_redis_is_away_while_a_collector_starts(scenario: Scenario) -> None:
    scenario.note("kill -9 of Redis")
    scenario.redis.kill()
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.wait(lambda: bool(collector.lines("backing_off")), "a collector that waits")
    scenario.redis.start()
    scenario.finish()


def test_redis_stands_still_for_30_s(scenario: Scenario) -> None:
    """Longer than the group would wait for a member that does not poll; its collector keeps its partitions."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    with scenario.publishing(stream(2)):
        scenario.note("SIGSTOP of Redis for 30 s")
        scenario.redis.pause()
        until = time.monotonic() + 30
        scenario.wait(lambda: time.monotonic() > until, "30 s")
        assert collector.get("/livez").status_code == 200
        scenario.redis.resume()
    scenario.finish()
    assert len(collector.lines("partitions_assigned")) == 1


@pytest.mark.parametrize(
    ("setting", "ill", "well"),
    [("maxmemory", "1mb", "0"), ("min-replicas-to-write", "1", "0")],
    ids=["full", "without replicas"],
)
def test_redis_takes_no_writes(scenario: Scenario, setting: str, ill: str, well: str) -> None:
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    with connected(scenario.redis.url) as client:
        scenario.note(f"Redis takes no writes ({setting})")
        client.config_set(setting, ill)
        with scenario.publishing(stream(2)):
            scenario.wait(lambda: len(collector.lines("backing_off")) > 3, "a collector that waits")
        client.config_set(setting, well)
    scenario.finish()
    assert scenario.system.dead_letters() == []


def test_redis_is_a_replica_for_a_while(scenario: Scenario) -> None:
    """A replica that its master never answers refuses writes, and keeps what it has."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    with connected(scenario.redis.url) as client:
        scenario.note("Redis is made a read-only replica")
        client.replicaof("127.0.0.1", "1")
        with scenario.publishing(stream(2)):
            scenario.wait(lambda: len(collector.lines("backing_off")) > 3, "a collector that waits")
        client.replicaof("NO", "ONE")
    scenario.finish()


def test_the_disk_of_the_append_only_file_is_full(on_small_disk: Scenario, small_disk: Path) -> None:
    scenario = on_small_disk
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    ballast = small_disk / "ballast"
    scenario.note("the disk of the append-only file is full")
    fill(ballast)
    with scenario.publishing(stream(2, **LONG)):
        scenario.wait(lambda: len(collector.lines("backing_off")) > 3, "a collector that waits")
        ballast.unlink()
    scenario.finish()
    assert scenario.system.dead_letters() == []


def fill(file: Path) -> None:
    """Write until there is no room."""
    try:
        with file.open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))
    except OSError:
        return


def test_redis_comes_back_with_an_older_file(scenario: Scenario, tmp_path: Path) -> None:
    """As after restoring a backup."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    wait_until_synced(scenario.redis)
    older = tmp_path / "older"
    shutil.copytree(scenario.redis.data_dir, older)
    scenario.publish(stream(2))
    scenario.caught_up()
    scenario.note("Redis is restored from an older file")
    scenario.redis.kill()
    shutil.rmtree(scenario.redis.data_dir)
    shutil.copytree(older, scenario.redis.data_dir)
    scenario.redis.start()
    scenario.publish(stream(3))
    scenario.finish()
    assert collector.running
    assert collector.lines("store_rewound")


def test_the_end_of_the_append_only_file_is_cut_off(scenario: Scenario) -> None:
    """As after a power loss."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    wait_until_synced(scenario.redis)
    scenario.note("the append-only file loses its last third")
    scenario.redis.kill()
    (file,) = [*scenario.redis.data_dir.glob("**/*.incr.aof"), *scenario.redis.data_dir.glob("appendonly.aof")]
    with file.open("r+b") as cut:
        cut.truncate(file.stat().st_size * 2 // 3)
    scenario.redis.start()
    scenario.publish(stream(2))
    scenario.finish()
    assert collector.running
    assert collector.lines("store_rewound")


def test_redis_is_emptied_while_nothing_is_published(scenario: Scenario) -> None:
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    flush(scenario)
    scenario.wait(lambda: bool(collector.lines("store_rewound")), "a collector that goes back")
    scenario.finish()


@pytest.mark.parametrize("collectors", [1, 2])
def test_redis_is_emptied_again_and_again_under_load(scenario: Scenario, collectors: int) -> None:
    running = [scenario.collector() for _ in range(collectors)]
    with scenario.publishing(stream(1, **LONG)):
        for _ in range(3):
            settled = sum(running[0].metrics("replog_events_total").values())
            scenario.wait(lambda: sum(running[0].metrics("replog_events_total").values()) > settled, "progress")  # noqa: B023
            flush(scenario)
    scenario.finish()
    assert all(collector.running and len(collector.lines("started")) == 1 for collector in running)


def flush(scenario: Scenario) -> None:
    """Empty the Redis."""
    scenario.note("FLUSHALL")
    with connected(scenario.redis.url) as client:
        client.flushall()


def test_one_of_three_masters_is_emptied(on_cluster: Scenario) -> None:
    collector = on_cluster.collector()
    on_cluster.publish(stream(1))
    on_cluster.caught_up()
    flush(on_cluster)
    on_cluster.wait(lambda: bool(collector.lines("store_rewound")), "a collector that goes back")
    on_cluster.publish(stream(2))
    on_cluster.finish()


def wait_until_synced(redis: OwnRedis) -> None:
    """Return once everything is in the file."""

    def synced() -> bool:
        with connected(redis.url) as client:
            facts = client.info("persistence")
        return bool(facts["aof_pending_bio_fsync"] == 0 and facts["aof_buffer_length"] == 0)

    assert wait_until(synced, 10)


def test_a_failover_to_a_replica_that_stood_still(on_sentinel: Scenario, sentinel: RedisSentinel) -> None:
    collector = on_sentinel.collector()
    on_sentinel.publish(stream(1))
    on_sentinel.caught_up()
    sentinel.wait_until_in_step()
    master = sentinel.master
    (replica,) = (server for server in sentinel.servers if server is not master)
    on_sentinel.note("SIGSTOP of the replica")
    replica.pause()
    with connected(master.url) as client:
        # What is sent from now on does not even wait for it in its socket.
        client.execute_command("CLIENT", "KILL", "TYPE", "replica")
    on_sentinel.publish(stream(2))
    on_sentinel.caught_up()
    on_sentinel.note("kill -9 of the master")
    master.kill()
    replica.resume()
    assert wait_until(lambda: sentinel.master is replica, 60)
    on_sentinel.publish(stream(3))
    on_sentinel.finish()
    assert collector.running


def test_a_failover_to_a_replica_in_step(on_sentinel: Scenario, sentinel: RedisSentinel) -> None:
    on_sentinel.collector()
    on_sentinel.publish(stream(1))
    on_sentinel.caught_up()
    sentinel.wait_until_in_step()
    old = sentinel.master
    on_sentinel.note("kill -9 of the master")
    old.kill()
    on_sentinel.publish(stream(2))
    on_sentinel.finish()
    assert sentinel.master is not old
