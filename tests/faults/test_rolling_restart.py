"""Everything is replaced one after the other under load, as Kubernetes does it by the manifests of deploy/kubernetes.

Times are shorter than there: pods wait less before SIGTERM, and are killed sooner.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.background import Background
from tests.support.monitored import collector_of
from tests.support.prometheus import Prometheus, rules_of
from tests.support.scenario import stream
from tests.support.services.plain_http import NO_TLS
from tests.support.services.process import free_port, wait_until
from tests.support.system import API, RECORDS, share

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.scenario import Scenario
    from tests.support.system import Process

DEADLINE_S = 60.0
#: From the restart of Redis until everything is there again: all answers, all scrapes, and no lag.
RECOVERY_S = 120.0
#: Between two looks at `/readyz` of each query service.
PROBE_S = 0.5
#: From the begin of a pod's end until the last client hears of it, and until SIGTERM; then until SIGKILL.
HEARD_S, PRE_STOP_S, GRACE_S = 1.0, 2.0, 12.0
#: Clients that ask at the same time, and the pause between two rounds of each: they leave the machine to the services.
CLIENTS, PAUSE_S = 4, 0.05
PATHS = ("list/busy", "page/busy?pageNumber=1&pageSize=5", "detail/page/run-1-0?pageNumber=1&pageSize=5")
RETRIED = (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS)


class Service(Background):
    """A Service of Kubernetes: the query services that answered 200 on `/readyz`, and do not end."""

    def __init__(self) -> None:
        super().__init__()
        self._pods: list[Process] = []
        self._ready: list[str] = []
        self._turn = 0

    def add(self, pod: Process) -> None:
        """Send it requests from when it is ready; return then."""
        self._pods.append(pod)
        assert wait_until(lambda: pod.url in self._ready, DEADLINE_S)

    def remove(self, pod: Process) -> None:
        """Send it no more requests."""
        self._pods.remove(pod)
        assert wait_until(lambda: pod.url not in self._ready, DEADLINE_S)

    def next(self, other_than: str = "") -> str:
        """The address of a pod, each in turn."""
        self._turn += 1
        ready = [url for url in self._ready if url != other_than] or [other_than]
        return ready[self._turn % len(ready)]

    def run(self) -> None:
        """Probe the pods."""
        while not self.over.wait(PROBE_S):
            self._ready = [pod.url for pod in list(self._pods) if _is_ready(pod)]


def _is_ready(pod: Process) -> bool:
    try:
        return pod.get("/readyz").is_success
    except httpx.TransportError:
        return False


class Clients(Background):
    """Clients of a Service over connections that they keep. What fails at one pod, they ask once at another."""

    def __init__(self, service: Service) -> None:
        super().__init__(threads=CLIENTS)
        self._service = service
        self.answers = 0
        self.retries = 0
        self.failures: list[str] = []

    def get_on(self) -> None:
        """Return once there are more answers."""
        before = self.answers
        assert wait_until(lambda: self.answers > before + 10 * CLIENTS, DEADLINE_S), self.failures

    def run(self) -> None:
        """Ask for each path in turn."""
        with httpx.Client(timeout=DEADLINE_S, verify=NO_TLS) as client:
            while not self.over.wait(PAUSE_S):
                for path in PATHS:
                    self._ask(client, path)

    def _ask(self, client: httpx.Client, path: str) -> None:
        url = self._service.next()
        if self._failure(client, url, path) is None:
            return
        self.retries += 1
        failure = self._failure(client, self._service.next(other_than=url), path)
        if failure is not None:
            self.failures.append(failure)

    def _failure(self, client: httpx.Client, url: str, path: str) -> str | None:
        try:
            answer = client.get(f"{url}{RECORDS}/{path}")
        except httpx.TransportError as error:
            return f"{url}/{path}: {error!r}"
        self.answers += answer.is_success
        return None if answer.is_success else f"{url}/{path}: {answer.status_code} {answer.text}"


def query_service(scenario: Scenario) -> Process:
    """A pod: it listens on an address of its own."""
    pod = scenario.system.process(
        API, REPLOG_API_PORT=str(free_port()), REPLOG_API_DRAIN_S="2", REPLOG_API_REQUESTS_PER_S="0"
    )
    pod.start()
    return pod


def replace_query_service(scenario: Scenario, service: Service, old: Process) -> Process:
    """One more is started and ready before the old one ends (`maxSurge: 1`, `maxUnavailable: 0`)."""
    scenario.note("a query service is replaced: one in addition, SIGTERM of the old one")
    new = query_service(scenario)
    service.add(new)
    ending_s = time.monotonic()
    threading.Timer(HEARD_S, service.remove, [old]).start()
    assert wait_until(lambda: time.monotonic() >= ending_s + PRE_STOP_S, DEADLINE_S)
    assert old.stop() == 0
    return new


def replace_collector(scenario: Scenario, old: Process, others: list[Process]) -> Process:
    """The old one ends before the new one starts (`maxSurge: 0`, `maxUnavailable: 1`)."""
    scenario.note("a collector is replaced: SIGTERM of the old one")
    assert old.stop() == 0
    new = collector_of(scenario.system)
    share(*others, new)
    return new


def replace_hanging_collector(scenario: Scenario, old: Process, others: list[Process]) -> Process:
    """It does not end by itself, and is killed after its grace."""
    scenario.note("a collector is replaced that hangs: SIGTERM, and SIGKILL after its grace")
    old.pause()
    assert not old.ends_within(3.0)
    old.kill()
    new = collector_of(scenario.system)
    share(*others, new)
    return new


@pytest.mark.long
def test_everything_is_replaced_under_load(scenario: Scenario, tmp_path: Path) -> None:
    """No client that asks once more sees an error, no event is lost, and no alert fires.

    Except while Redis is restarted: then clients get 503 until it answers again, for two minutes at most.
    """
    collectors = [collector_of(scenario.system) for _ in range(2)]
    share(*collectors)
    scenario.publish(stream(1))
    with (
        Prometheus(tmp_path / "prometheus", rules_of()) as prometheus,
        Service() as service,
        scenario.load(2),
    ):
        pods = [query_service(scenario) for _ in range(2)]
        for pod in pods:
            service.add(pod)
        prometheus.watch("collector", *collectors)
        prometheus.watch("api", *pods)
        with Clients(service) as clients:
            clients.get_on()
            for number in range(2):
                pods[number] = replace_query_service(scenario, service, pods[number])
                prometheus.watch("api", *pods)
                clients.get_on()
            collectors[0] = replace_collector(scenario, collectors[0], [collectors[1]])
            prometheus.watch("collector", *collectors)
            collectors[1] = replace_hanging_collector(scenario, collectors[1], [collectors[0]])
            prometheus.watch("collector", *collectors)
            clients.get_on()
            assert not clients.failures
            assert not prometheus.ever("firing")
            scenario.note("Redis is restarted")
            scenario.redis.stop()
            scenario.redis.start()
            recovered_by_s = time.monotonic() + RECOVERY_S
            clients.get_on()
            scenario.progress(*collectors)
        assert wait_until(lambda: len(prometheus.query("up == 1")) == 4, recovered_by_s - time.monotonic())
        # A Redis that is away costs answers, and these minutes have few others.
        assert prometheus.ever("firing") <= {"ReplogApiErrorBudget 1h", "ReplogApiErrorBudget 6h"}
    assert wait_until(lambda: scenario.lag() == 0, recovered_by_s - time.monotonic())
    scenario.note("everything is there again")
    scenario.finish()
