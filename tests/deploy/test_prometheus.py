"""A real Prometheus on real processes: their metrics are well formed, the board has data of them, and alerts fire.

Rules are shortened here, as tests.support.prometheus says. tests/faults makes the faults of the other alerts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.monitored import Asking, api_of, collector_of, empty_panels
from tests.support.prometheus import VARIABLE, Prometheus, rules_of
from tests.support.scenario import POISON, stream
from tests.support.services.process import wait_until
from tests.support.system import READABLE_TIMEOUT_S, message, system_on
from tests.support.tools import required

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.services.kafka import Broker
    from tests.support.system import Process, System

#: The count of stale records begins 10 s after a collector has started.
DATA_S = 60.0


@pytest.fixture
def system(kafka: Broker, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with system_on(kafka, redis_url, tmp_path_factory.mktemp("system")) as made:
        made.publish_outcomes()
        yield made


def publish(system: System, collector: Process, seed: int) -> None:
    """Publish records with details, and return once they are in the store."""
    before = settled(collector)
    events = stream(seed, records=5, details=5)
    system.publish([message(event) for event in events])
    assert wait_until(lambda: settled(collector) >= before + len(events), READABLE_TIMEOUT_S)


def settled(collector: Process) -> float:
    return sum(collector.metrics("replog_events_total").values())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_are_as_prometheus_wants_them(system: System, workers: str) -> None:
    promtool = required("promtool", VARIABLE)
    collector, api = collector_of(system), api_of(system, REPLOG_API_WORKERS=workers)
    for process in (collector, api):
        process.start()
    publish(system, collector, 1)
    assert wait_until(lambda: api.get("/readyz").is_success, READABLE_TIMEOUT_S)
    with Asking(api.url):
        assert wait_until(lambda: api.metrics("replog_not_modified_total")[""] > 0, READABLE_TIMEOUT_S)
    for process in (collector, api):
        text = process.get("/metrics").text
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_each_worker_of_a_query_service_has_metrics_of_its_process(system: System) -> None:
    """Also one that replaces another."""
    api = api_of(system, REPLOG_API_WORKERS="2")
    api.start()
    name = "process_resident_memory_bytes"
    assert wait_until(lambda: len(api.metrics(name)) == 2, READABLE_TIMEOUT_S)
    before = api.metrics(name)
    assert min(before.values()) > 10_000_000
    assert api.metrics("process_cpu_seconds_total").keys() == before.keys()
    victim = int(min(before).removeprefix('pid="').removesuffix('"'))
    os.kill(victim, signal.SIGKILL)
    assert wait_until(lambda: len(api.metrics(name).keys() - before.keys()) == 1, READABLE_TIMEOUT_S)
    assert len(api.metrics(name)) == 2


def test_panels_have_data_and_two_alerts_fire_and_recover(system: System, tmp_path: Path) -> None:
    # The streams' events are of 2021.
    collector, api = (make(system, REPLOG_STALE_AFTER_S="1000000000") for make in (collector_of, api_of))
    for process in (collector, api):
        process.start()
    with Prometheus(tmp_path / "prometheus", rules_of(60), interval_s=1) as prometheus, Asking(api.url):
        prometheus.watch("collector", collector)
        prometheus.watch("api", api)
        began_s = time.time()
        publish(system, collector, 1)
        system.publish(list(POISON))
        prometheus.fires("ReplogDeadLetters")
        publish(system, collector, 2)
        wait_until(lambda: not empty_panels(prometheus, began_s, time.time()), DATA_S)
        assert not empty_panels(prometheus, began_s, time.time())
        assert collector.stop() == 0
        prometheus.fires("ReplogCollectorsDown")
        collector.start()
        prometheus.recovers("ReplogCollectorsDown", "ReplogDeadLetters")
