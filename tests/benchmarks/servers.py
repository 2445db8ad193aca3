"""Servers that the benchmarks start, on the core that is not measured."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from redis import Redis

from tests.benchmarks.machine import pin
from tests.support.services import kafka_admin
from tests.support.services.kafka import EmbeddedBroker, start_broker
from tests.support.services.kafka_maven import MavenBroker
from tests.support.services.redis import OwnRedis, remove_keys, server_binary

if TYPE_CHECKING:
    from contextlib import ExitStack

    from tests.support.services.kafka import Broker
    from tests.support.services.process import ServerProcess

#: The program that is measured has the other core for itself.
SERVERS_CORE = 1
#: Where Redis writes its append-only file anew: a child on the server's own core would hold up every call.
_CHILDREN = ("--aof_rewrite_cpulist", "0")


class Started(NamedTuple):
    """A service that was started, and the port at which it answers."""

    pid: int
    port: int


def pin_server(server: ServerProcess, core: int) -> None:
    """Keep ``server``, which runs, on a core."""
    assert server._process
    pin(server._process.pid, core)


def start_redis(stack: ExitStack, folder: Path, core: int | None = SERVERS_CORE) -> OwnRedis:
    """A Redis of the benchmarks' own on one core or any, its files in the new ``folder``; it ends with ``stack``."""
    folder.mkdir()
    # That of PATH, or else the embedded one.
    redis = OwnRedis(server_binary(None), folder, options=_CHILDREN)
    stack.callback(redis.close)
    redis.start()
    if core is not None:
        pin_server(redis._process, core)
    return redis


def given_redis(stack: ExitStack, url: str, prefix: str) -> str:
    """The Redis at ``url``, which somebody else runs; what is under ``prefix`` goes with ``stack``."""
    stack.callback(remove_keys, url, prefix)
    return url


def broker_with(
    stack: ExitStack, folder: Path, choice: str | None, topic: str, core: int | None = SERVERS_CORE
) -> Broker:
    """The broker that ``choice`` names, or the best there is, on one core or any, with ``topic`` and its dead letters.

    It ends with ``stack``, or the topics go if somebody else runs it.
    """
    folder.mkdir()
    broker, _ = start_broker(choice, folder)
    stack.callback(broker.close)
    topics = [topic, f"{topic}.dlq"]
    if core is not None and isinstance(broker, EmbeddedBroker | MavenBroker):
        pin_server(broker._process, core)
    if isinstance(broker, EmbeddedBroker):
        kafka_admin.touch_topics(broker.address, topics)
        return broker
    kafka_admin.create_topics(broker.address, topics)
    if broker.kind == "address":
        stack.callback(kafka_admin.delete_topics, broker.address, topics)
    return broker


def pid_of(url: str) -> int:
    """The process that is the Redis at ``url``."""
    with Redis.from_url(url) as redis:
        return int(redis.info("server")["process_id"])


def alone(url: str) -> bool:
    """Let nothing that shares its core hold up the Redis at ``url``, and say whether that is permitted here.

    What one call takes is asked of a Redis that has a core to itself. Here there are two, and what else the machine
    does, its disk's threads first, would stand inside of the calls as waits of several ms. The threads by which Redis
    syncs its file go to the other core, or else they would never run.
    """
    pid = pid_of(url)
    for thread in Path(f"/proc/{pid}/task").iterdir():
        if int(thread.name) != pid:
            os.sched_setaffinity(int(thread.name), {1 - SERVERS_CORE})
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        return False
    return True


def settle(url: str) -> None:
    """Return once Redis rewrites its append-only file no more."""
    with Redis.from_url(url) as redis:
        while redis.info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.2)
