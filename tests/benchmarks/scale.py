"""What a unit of work takes in CPU time where several processes share it: one, two and four, on one Redis and on three.

Collectors of one group share a topic, and query services answer from one store. Elapsed time says nothing of a large
installation, for here all share two cores; the CPU time of an event or of a request does.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from replog_local.simulation import simulate
from tests.benchmarks import collect, page
from tests.benchmarks.load import measure_all
from tests.support.services.kafka import EmbeddedBroker
from tests.support.services.kafka_maven import MavenBroker
from tests.support.services.redis import connected, servers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.support.services.kafka import Broker

#: Processes that share the work.
STEPS = (1, 2, 4)
SECONDS = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Stream(NamedTuple):
    """The simulated stream on its topic: so many runs of so many details."""

    broker: Broker
    topic: str
    records: int
    details: int


class Cost(NamedTuple):
    """Units of work done by some processes on some masters of Redis, and the CPU time of one unit in us."""

    what: str
    processes: int
    masters: int
    units: int
    process_us: float
    redis_us: float
    broker_us: float | None = None

    @property
    def total_us(self) -> float:
        """The CPU time of a unit on all machines that an installation has."""
        return self.process_us + self.redis_us + (self.broker_us or 0)


class _Work(NamedTuple):
    """CPU time used so far in seconds, and units done."""

    units: int
    process_s: float
    redis_s: float
    broker_s: float


def run(stream: Stream, redis_urls: Sequence[str], say: Callable[[str], None]) -> Iterator[Cost]:
    """Publish the stream, and measure on each of the ``redis_urls``."""
    broker, topic, records, details = stream
    total = collect.publish(broker.address, topic, records=records, details_per_record=details)
    record_ids = [*dict.fromkeys(event.record_id for event in simulate(1, records=records, details_per_record=details))]
    for redis_url in redis_urls:
        masters = len(servers_of(redis_url))
        for processes in STEPS:
            variables = collect.settings(broker.address, topic, redis_url, f"{topic}.{masters}.{processes}")
            yield _collected(variables, processes, total, _broker_pid(broker))
            say(f"{processes} collectors, {masters} masters: done")
        for processes in STEPS:
            yield _answered(redis_url, f"{topic}.{masters}.{STEPS[0]}", record_ids, details, processes)
            say(f"{processes} query services, {masters} masters: done")


def _collected(variables: dict[str, str], processes: int, total: int, broker_pid: int | None) -> Cost:
    redis_url = variables["REPLOG_REDIS_URL"]
    with ExitStack() as stack:
        collectors = [stack.enter_context(collect.started(variables)) for _ in range(processes)]

        def work() -> _Work:
            applied = sum(collect.applied(each.port) for each in collectors)
            pids = [each.pid for each in collectors]
            return _Work(applied, _cpu_s(*pids), _redis_s(redis_url), _cpu_s(broker_pid) if broker_pid else 0.0)

        begun = ended = work()
        # What is applied before all have begun is of unequal shares.
        while any(not collect.applied(each.port) for each in collectors) and ended.units < total:
            begun = ended = work()
            time.sleep(collect.LOOK_S)
        while ended.units < total:
            time.sleep(collect.LOOK_S)
            ended = work()
    units = ended.units - begun.units
    return Cost(
        "an event collected",
        processes,
        len(servers_of(redis_url)),
        units,
        (ended.process_s - begun.process_s) / units * 1e6,
        (ended.redis_s - begun.redis_s) / units * 1e6,
        (ended.broker_s - begun.broker_s) / units * 1e6 if broker_pid else None,
    )


def _answered(redis_url: str, prefix: str, record_ids: Sequence[str], details: int, processes: int) -> Cost:
    paths = [
        f"{page.BASE}/detail/page/{record_id}?pageNumber={number}&pageSize={page.ROWS}"
        for number in range(1, details // page.ROWS)
        for record_id in record_ids
    ]
    with ExitStack() as stack:
        services = [stack.enter_context(page.started(redis_url, prefix, paths[0], core=None)) for _ in range(processes)]
        pids, ports = [each.pid for each in services], [each.port for each in services]
        before_s, redis_before_s = _cpu_s(*pids), _redis_s(redis_url)
        units = measure_all(ports, paths, seconds=SECONDS)
        process_s, redis_s = _cpu_s(*pids) - before_s, _redis_s(redis_url) - redis_before_s
    return Cost(
        "another page of details",
        processes,
        len(servers_of(redis_url)),
        units,
        process_s / units * 1e6,
        redis_s / units * 1e6,
    )


def _broker_pid(broker: Broker) -> int | None:
    """The process of a broker that the benchmark has started; None where it has none that can be looked at."""
    if not isinstance(broker, EmbeddedBroker | MavenBroker):
        return None
    assert broker._process._process
    return broker._process._process.pid


def _cpu_s(*pids: int) -> float:
    """CPU time of processes in seconds."""
    # Behind the name, which may have spaces: user and system time are the 14th and 15th of all.
    fields = (Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split() for pid in pids)
    return sum(int(of[11]) + int(of[12]) for of in fields) / _TICKS


def _redis_s(url: str) -> float:
    """CPU time of the masters in seconds, without that of their children."""
    seconds = 0.0
    for server in servers_of(url):
        with connected(server) as client:
            used = client.info("cpu")
            seconds += used["used_cpu_user"] + used["used_cpu_sys"]
    return seconds
