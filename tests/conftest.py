"""Fixtures that every test may use: the broker, the Redis, and a place of one's own in each.

The servers start when the first test asks for them and end with the run. The run's report says at its end
what they were, and which tests did not run for want of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import uuid
from typing import TYPE_CHECKING, Any, NoReturn

import hypothesis
import pytest

from tests.support.services import ServiceUnavailableError, kafka_admin, redis_acl
from tests.support.services import kafka as kafka_service
from tests.support.services import redis as redis_service
from tests.support.services.process import STOP_TIMEOUT_S
from tests.support.services.redis_cluster import start_cluster
from tests.support.services.report import REPORT, ServiceReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

    from tests.support.services.kafka import Broker
    from tests.support.services.redis import RedisServer
    from tests.support.services.redis_cluster import RedisCluster

# No test is timed: a deadline of hypothesis fails on a busy machine alone.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
# Mutants are tried with this one: that an example fails is enough, nobody reads the smallest. mutmut runs the tests
# several times in one process, so each method has more than one instance.
hypothesis.settings.register_profile(
    "mutants",
    deadline=None,
    database=None,
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    suppress_health_check=[hypothesis.HealthCheck.differing_executors],
)

pytest_plugins = ["tests.support.faults_table"]

#: After how many seconds a test that is marked ``long`` counts as hanging.
LONG_TIMEOUT_S = 3600
#: By pid: the processes that run a part of the tests each, where there are such.
NODES = pytest.StashKey[dict[int, Any]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make SIGTERM end the run as Ctrl-C does: in order, with the servers stopped."""
    config.stash[REPORT] = ServiceReport()
    config.stash[NODES] = {}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if hasattr(config, "workerinput"):
        # Ctrl-C reaches all processes of a run, and then the first of them ends the others.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop_once)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give long tests more time than others have before they count as hanging."""
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_TIMEOUT_S))


def _stop_once(number: int, frame: FrameType | None) -> NoReturn:
    for repeated in (signal.SIGINT, signal.SIGTERM):
        signal.signal(repeated, signal.SIG_IGN)
    signal.default_int_handler(number, frame)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodeready(node: Any) -> None:
    """Note a process that runs a part of the tests."""
    node.config.stash[NODES][node.gateway._rinfo().pid] = node


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Hand in the report from a process that runs a part of the tests; end such processes where the run is stopped."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["servers"] = session.config.stash[REPORT].handed_in()
    if exitstatus == pytest.ExitCode.INTERRUPTED:
        # In order, with their servers: pytest-xdist kills them soon.
        nodes = session.config.stash[NODES]
        for pid in nodes:
            os.kill(pid, signal.SIGTERM)
        for node in nodes.values():
            with contextlib.suppress(OSError):
                node.channel.waitclose(STOP_TIMEOUT_S)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the report of a process that ran a part of the tests."""
    # One that crashed hands in nothing, and fails the run anyway.
    node.config.stash[REPORT].add(getattr(node, "workeroutput", {}).get("servers", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the tests ran against."""
    config.stash[REPORT].write(terminalreporter)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Async tests run on asyncio's own event loop."""
    return "asyncio", {}


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The broker; a test that ends it starts it again."""
    choice = os.environ.get(kafka_service.VARIABLE)
    broker, passed_over = kafka_service.start_broker(choice, tmp_path_factory.mktemp("kafka"))
    pytestconfig.stash[REPORT].use_kafka(broker, passed_over)
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def kafka_address(kafka: Broker) -> str:
    """The broker's bootstrap address."""
    return kafka.address


@pytest.fixture
def kafka_topic(kafka: Broker) -> Iterator[str]:
    """A fresh topic of 4 partitions, with its dead-letter topic ``<topic>.dlq`` beside it."""
    topic = f"replog-test.{uuid.uuid4().hex}"
    names = [topic, f"{topic}.dlq"]
    make = kafka_admin.touch_topics if kafka.kind == "embedded" else kafka_admin.create_topics
    make(kafka.address, names)
    yield topic
    # Own brokers forget everything anyway; another's is left as it was found.
    if kafka.kind == "address":
        kafka_admin.delete_topics(kafka.address, names)


@pytest.fixture(scope="session")
def redis_server(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The Redis; a test that ends it starts it again."""
    choice = os.environ.get(redis_service.VARIABLE)
    report = pytestconfig.stash[REPORT]
    try:
        server = redis_service.start_redis(choice, tmp_path_factory.mktemp("redis"), redis_acl.server_options())
    except ServiceUnavailableError as why:
        if choice:
            raise
        report.miss_redis(str(why))
        pytest.skip(f"no Redis: {why}")
    report.use_redis(server, redis_service.version_of(server.url))
    yield server
    server.close()


@pytest.fixture(scope="session")
def redis_binary(pytestconfig: pytest.Config) -> Path:
    """The binary for servers of a test's own."""
    choice = os.environ.get(redis_service.VARIABLE)
    try:
        return redis_service.server_binary(choice)
    except ServiceUnavailableError as why:
        if redis_service.is_binary(choice):
            raise
        pytestconfig.stash[REPORT].miss_redis(f"cluster and Sentinel: {why}")
        pytest.skip(f"no Redis of one's own: {why}")


@pytest.fixture(scope="session")
def redis_cluster(
    pytestconfig: pytest.Config, redis_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisCluster]:
    """A cluster of three masters, from the same binary as the Redis where that has one here."""
    report = pytestconfig.stash[REPORT]
    # With a binary, a cluster that does not start is no missing service but a failure.
    cluster = start_cluster(redis_binary, tmp_path_factory.mktemp("cluster"), redis_acl.server_options())
    report.use_cluster(redis_service.version_of(cluster.masters[0].url))
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def topology(request: pytest.FixtureRequest) -> str:
    """What the test's Redis is: ``standalone``, or with the marker ``every_topology`` each of them in turn."""
    return str(getattr(request, "param", "standalone"))


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest, topology: str) -> str:
    """The URL of the Redis, for `REPLOG_REDIS_URL`."""
    server: RedisServer | RedisCluster = request.getfixturevalue(_SERVERS[topology])
    return redis_acl.url_as(server.url, redis_acl.COLLECTOR) if redis_acl.wanted() else server.url


_SERVERS = {"standalone": "redis_server", "cluster": "redis_cluster"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked ``every_topology``, and asks for a Redis at all, on each of them."""
    if metafunc.definition.get_closest_marker("every_topology") and "topology" in metafunc.fixturenames:
        metafunc.parametrize("topology", list(_SERVERS), indirect=True, scope="session")


@pytest.fixture
def redis_prefix(redis_url: str) -> Iterator[str]:
    """A key prefix of this test alone; what is under it is removed afterwards."""
    prefix = f"replog-test-{uuid.uuid4().hex}"
    yield prefix
    redis_service.remove_keys(redis_url, prefix)


@pytest.fixture(autouse=True)
def _real_broker(request: pytest.FixtureRequest) -> None:
    # An autouse fixture, so that a test without the marker starts no broker.
    if request.node.get_closest_marker("real_broker") is None:
        return
    broker: Broker = request.getfixturevalue("kafka")
    if broker.kind == "embedded":
        request.config.stash[REPORT].want_broker(request.node.nodeid)
        pytest.skip("needs a real broker, and this run has the embedded one")
