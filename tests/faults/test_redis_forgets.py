"""Redis comes back with less than it had, although it had acknowledged it."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.scenario import stream
from tests.support.services.process import wait_until
from tests.support.services.redis import connected, wait_until_synced

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.scenario import Scenario
    from tests.support.services.redis import OwnRedis
    from tests.support.services.redis_sentinel import RedisSentinel

pytestmark = pytest.mark.long

LONG = {"records": 40, "details": 40}


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
    """As a damaged disk leaves it: in the midst of a command, long after it was synced."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    wait_until_synced(scenario.redis)
    scenario.note("the append-only file loses its last third")
    scenario.redis.kill()
    file = append_only_file(scenario.redis)
    with file.open("r+b") as cut:
        cut.truncate(file.stat().st_size * 2 // 3)
    scenario.redis.start()
    scenario.publish(stream(2))
    scenario.finish()
    assert collector.running
    assert collector.lines("store_rewound")


def test_the_machine_of_redis_loses_power(scenario: Scenario) -> None:
    """What Redis had acknowledged and not yet synced is gone, under load, again and again.

    A process that is killed leaves to the system what it wrote, so the file is cut to what it was 2 s before: Redis
    syncs it each second, and lets that take another one.
    """
    one, two = scenario.collector(), scenario.collector()
    with scenario.publishing(stream(1, **LONG), rate=300):
        for _ in range(3):
            with recorded(append_only_file(scenario.redis)) as sizes:
                scenario.wait(lambda: sizes[-1].bytes > synced(sizes) > 0, "writes that are not synced")
                scenario.note("power loss: kill -9 of Redis, its file cut to what it was 2 s before")
                scenario.redis.kill()
            with append_only_file(scenario.redis).open("r+b") as file:
                file.truncate(synced(sizes))
            scenario.redis.start()
            scenario.progress(one)
    scenario.finish()
    assert one.lines("store_rewound") or two.lines("store_rewound")
    assert (one.running, two.running) == (True, True)


class Size(NamedTuple):
    """How large a file was when."""

    at_s: float
    bytes: int


@contextmanager
def recorded(file: Path) -> Iterator[list[Size]]:
    """The sizes of ``file`` while the block runs."""
    sizes = [Size(time.monotonic(), file.stat().st_size)]
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.02):
            sizes.append(Size(time.monotonic(), file.stat().st_size))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield sizes
    finally:
        over.set()
        thread.join()


def synced(sizes: list[Size]) -> int:
    """What of a file is safe on its disk for certain: its size 2 s ago; 0 where that is not known."""
    before_s = sizes[-1].at_s - 2
    return max((size.bytes for size in sizes if size.at_s <= before_s), default=0)


def append_only_file(redis: OwnRedis) -> Path:
    """The file that Redis writes to."""
    (file,) = [*redis.data_dir.glob("**/*.incr.aof"), *redis.data_dir.glob("appendonly.aof")]
    return file


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
            scenario.progress(running[0])
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


OVERWRITES: dict[str, tuple[str, ...]] = {
    "a key of another type": ("SET", "applied", "no checkpoints"),
    "a checkpoint that is no number": ("HSET", "applied", "{partition}", "garbage"),
    "a time that is no time": ("HSET", "asof", "{topic}", "garbage"),
    "an entry of retention's": ("HSET", "leaving", "r", "garbage"),
    "an id that is no text": ("ZADD", "due", "-9000000000000", "\udcff"),
}


@pytest.mark.parametrize("what", OVERWRITES)
def test_bookkeeping_is_overwritten_under_load(scenario: Scenario, what: str) -> None:
    """Somebody wrote over the bookkeeping of one bucket: it is made anew, and all that the topic has comes again."""
    collector = scenario.collector()
    scenario.publish(stream(1))
    scenario.caught_up()
    command, kind, *arguments = OVERWRITES[what]
    topic = f"{scenario.system.topic}:{scenario.system.topic}"
    words = [word.format(topic=topic, partition=f"{topic}:0").encode(errors="surrogateescape") for word in arguments]
    with scenario.publishing(stream(2)), connected(scenario.redis.url) as client:
        scenario.note(f"a key of bookkeeping is overwritten: {what}")
        key = f"{scenario.system.topic}:{{7}}:{kind}"
        if command == "SET":
            client.delete(key)
        client.execute_command(command, key, *words)
        made_anew = "garbage_removed" if kind in {"leaving", "due"} else "markers_removed"
        scenario.wait(lambda: bool(collector.lines(made_anew)), "a collector that makes it anew")
    scenario.finish()
    assert scenario.system.dead_letters() == []
    assert collector.running


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
