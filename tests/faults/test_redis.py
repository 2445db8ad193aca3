"""Redis dies, stands still, is slow or full, or loads its data for long."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.scenario import stream
from tests.support.services import redis_acl
from tests.support.services.process import wait_until
from tests.support.services.redis import connected, is_loading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from redis import Redis

    from tests.support.scenario import Scenario
    from tests.support.services.redis import OwnRedis
    from tests.support.system import Process
pytestmark = pytest.mark.long

LONG = {"records": 40, "details": 40}


@pytest.fixture(
    params=["scenario", "on_always", "on_nothing_kept", "on_cluster"],
    ids=["everysec", "always", "nothing kept", "cluster"],
)
def on_redis(request: pytest.FixtureRequest) -> Scenario:
    """A single Redis, synced each second, at each write, or never; and a cluster, of which one master is ended."""
    found: Scenario = request.getfixturevalue(request.param)
    return found


def test_redis_is_killed_again_and_again(on_redis: Scenario) -> None:
    collector = on_redis.collector()
    with on_redis.publishing(stream(1, **LONG)):
        for _ in range(3):
            on_redis.progress(collector)
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


@pytest.mark.parametrize("rule", ["+incr", "+hset", "+evalsha", f"~{redis_acl.PREFIX}*"])
def test_a_right_is_taken_away(scenario: Scenario, rule: str) -> None:
    """From a collector's user, while it works: for a script, for a call, or to all keys; and given back."""
    rules = {user: redis_acl.rules_of(user) for user in redis_acl.USERS}
    with connected(scenario.redis.url) as client:
        for user, given in rules.items():
            redis_acl.make_user(client, user, given)
        scenario.system.variables["REPLOG_REDIS_URL"] = redis_acl.url_as(scenario.redis.url, redis_acl.COLLECTOR)
        collector = scenario.collector()
        scenario.publish(stream(1))
        scenario.caught_up()
        with scenario.publishing(stream(2)):
            scenario.note("the collector's user loses a right on Redis")
            given = rules[redis_acl.COLLECTOR]
            redis_acl.make_user(client, redis_acl.COLLECTOR, [other for other in given if other != rule])
            scenario.wait(lambda: refused(collector, "noperm") > 3, "a collector that waits")
            redis_acl.make_user(client, redis_acl.COLLECTOR, given)
    scenario.finish()
    assert scenario.system.dead_letters() == []
    assert any(rule in line["error"] for line in collector.lines("backing_off")) == rule.startswith("+")


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


def test_redis_is_a_replica_while_a_collector_starts(scenario: Scenario) -> None:
    """The URL names the wrong server, until that is appointed."""
    scenario.note("Redis is a read-only replica")
    with connected(scenario.redis.url) as client:
        client.replicaof("127.0.0.1", "1")
        collector = scenario.collector()
        scenario.publish(stream(1))
        scenario.wait(lambda: len(collector.lines("backing_off")) > 3, "a collector that waits")
        assert refused(collector, "readonly") > 0
        client.replicaof("NO", "ONE")
    scenario.finish()


@contextmanager
def slow(redis: OwnRedis, *, pause_ms: int, between_s: float) -> Iterator[None]:
    """Let a Redis answer in moments only, ``pause_ms`` apart, while the block runs."""
    over = threading.Event()

    def run() -> None:
        with connected(redis.url) as client:
            while not over.wait(between_s):
                client.client_pause(pause_ms)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_redis_is_slow(scenario: Scenario) -> None:
    """So that every batch takes seconds, and none fails."""
    collector = scenario.collector(REPLOG_WATCHDOG_S="30")
    scenario.publish(stream(1))
    scenario.caught_up()
    scenario.note("Redis answers once in 2 s for 40 s")
    until = time.monotonic() + 40
    with slow(scenario.redis, pause_ms=2000, between_s=0.01), scenario.publishing(stream(2)):
        scenario.wait(lambda: time.monotonic() > until, "40 s")
        assert collector.get("/livez").status_code == 200
    scenario.finish()
    assert len(collector.lines("partitions_assigned")) == 1


def test_redis_loads_its_data_for_long(scenario: Scenario) -> None:
    """One collector waits for it since it was killed, and one joins it meanwhile."""
    one = scenario.collector()
    scenario.publish(stream(1, **LONG))
    scenario.caught_up()
    options = slow_loading(scenario.redis, for_s=20)
    scenario.note("Redis is killed, and loads its data for 20 s")
    scenario.redis.kill()
    scenario.redis.start_loading(*options)
    with scenario.publishing(stream(2)):
        two = scenario.collector()
        scenario.wait(lambda: refused(one, "loading") > 3, "a collector that is told so")
        assert is_loading(scenario.redis.url)
    scenario.finish()
    assert (one.running, two.running) == (True, True)
    assert not one.lines("store_rewound")


def slow_loading(redis: OwnRedis, *, for_s: int) -> list[str]:
    """Options with which it takes ``for_s`` seconds to load what it has, and answers meanwhile that it does."""
    with connected(redis.url) as client:
        # As a snapshot: of a file of commands it would look up each thousand only.
        client.bgrewriteaof()
        assert wait_until(lambda: not rewriting(client), 20)
        delay_us = for_s * 1_000_000 // client.dbsize()
    return ["--key-load-delay", str(delay_us), "--loading-process-events-interval-bytes", "1024"]


def rewriting(client: Redis) -> bool:
    """Whether its file is being written anew, or about to be."""
    facts = client.info("persistence")
    return bool(facts["aof_rewrite_in_progress"] or facts["aof_rewrite_scheduled"])


def refused(collector: Process, kind: str) -> float:
    """How many calls of ``collector`` failed for one kind of reason."""
    return collector.metrics("replog_store_errors_total").get(f'kind="{kind}"', 0)


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
