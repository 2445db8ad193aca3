"""Fixtures of the fault tests."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.faults_table import JOURNAL
from tests.support.scenario import Scenario
from tests.support.services.kafka_cluster import KafkaCluster, start_kafka_cluster
from tests.support.services.kafka_maven import MavenBroker
from tests.support.services.redis import OwnRedis
from tests.support.services.redis_cluster import start_cluster
from tests.support.services.redis_sentinel import start_sentinel
from tests.support.system import system_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.services.kafka import Broker
    from tests.support.services.redis_sentinel import RedisSentinel


@pytest.fixture
def journal(request: pytest.FixtureRequest) -> list[str]:
    """What is done to the system of this test."""
    entries: list[str] = []
    request.node.user_properties.append((JOURNAL, entries))
    return entries


@pytest.fixture
def broker(kafka: Broker) -> Iterator[MavenBroker]:
    """The real broker, as a process that may be killed; running again afterwards."""
    if not isinstance(kafka, MavenBroker):
        pytest.skip("needs the broker from Maven: set REPLOG_TEST_KAFKA=maven")
    yield kafka
    kafka.resume()
    if not kafka.running:
        kafka.start()


@pytest.fixture(scope="module")
def kafka_cluster(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three brokers beside the one."""
    if not isinstance(kafka, MavenBroker):
        pytest.skip("needs brokers from Maven: set REPLOG_TEST_KAFKA=maven")
    cluster = start_kafka_cluster(tmp_path_factory.mktemp("kafka-cluster"))
    yield cluster
    cluster.close()


@pytest.fixture
def own_redis(redis_binary: Path, tmp_path: Path) -> Iterator[Callable[..., OwnRedis]]:
    """Makes and starts a Redis of this test's own."""
    servers: list[OwnRedis] = []

    def make(*options: str, folder: Path = tmp_path / "redis") -> OwnRedis:
        folder.mkdir(exist_ok=True)
        servers.append(OwnRedis(redis_binary, folder, options=options))
        servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.resume()
        server.close()


@pytest.fixture
def with_redis(
    broker: MavenBroker, own_redis: Callable[..., OwnRedis], tmp_path: Path, journal: list[str]
) -> Iterator[Callable[..., Scenario]]:
    """Makes a system on a Redis of its own, with options for that, and its folder."""
    with ExitStack() as systems:

        def make(*options: str, **place: Path) -> Scenario:
            redis = own_redis(*options, **place)
            system = systems.enter_context(system_on(broker, redis.url, tmp_path, forget=False))
            return Scenario(system, broker, redis, journal)

        yield make


@pytest.fixture
def scenario(with_redis: Callable[..., Scenario]) -> Scenario:
    """A system whose Redis keeps an append-only file, synced each second."""
    return with_redis()


@pytest.fixture
def on_always(with_redis: Callable[..., Scenario]) -> Scenario:
    """The same, synced at each write."""
    return with_redis("--appendfsync", "always")


@pytest.fixture
def on_nothing_kept(with_redis: Callable[..., Scenario]) -> Scenario:
    """A system whose Redis keeps nothing on its disk."""
    return with_redis("--appendonly", "no")


@pytest.fixture
def on_brokers(
    kafka_cluster: KafkaCluster, own_redis: Callable[..., OwnRedis], tmp_path: Path, journal: list[str]
) -> Iterator[Scenario]:
    """A system on three brokers, all running again afterwards, and a Redis of its own."""
    redis = own_redis()
    with system_on(kafka_cluster, redis.url, tmp_path, forget=False) as system:
        yield Scenario(system, kafka_cluster, redis, journal)
        for node in kafka_cluster.nodes.values():
            if not node.running:
                node.start()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small file system can be mounted here, it takes root: {error}")
    yield folder
    _run("umount", "-l", str(folder))


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@pytest.fixture
def on_small_disk(small_disk: Path, with_redis: Callable[..., Scenario]) -> Scenario:
    """A system whose Redis keeps its file on that."""
    return with_redis(folder=small_disk)


@pytest.fixture
def sentinel(redis_binary: Path, tmp_path: Path) -> Iterator[RedisSentinel]:
    """A master, a replica and a Sentinel."""
    running = start_sentinel(redis_binary, tmp_path)
    yield running
    for server in running.servers:
        server.resume()
    running.close()


@pytest.fixture
def on_sentinel(broker: MavenBroker, sentinel: RedisSentinel, tmp_path: Path, journal: list[str]) -> Iterator[Scenario]:
    """A system on them."""
    with system_on(broker, sentinel.url, tmp_path, forget=False) as system:
        yield Scenario(system, broker, None, journal)


@pytest.fixture
def on_cluster(broker: MavenBroker, redis_binary: Path, tmp_path: Path, journal: list[str]) -> Iterator[Scenario]:
    """A system on a cluster of three masters."""
    cluster = start_cluster(redis_binary, tmp_path / "cluster")
    try:
        with system_on(broker, cluster.url, tmp_path, forget=False) as system:
            made = Scenario(system, broker, cluster.masters[1], journal)
            yield made
    finally:
        cluster.close()
