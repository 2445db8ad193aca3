"""The system as an operator runs it: processes of its own, on a topic and a prefix of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from tests.support.query_service import path_of
from tests.support.services import kafka_admin
from tests.support.services.plain_http import NO_TLS
from tests.support.services.process import wait_until
from tests.support.services.redis import remove_keys
from tests.support.services.redis_acl import url_as_query_service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cloudevents.core.base import BaseCloudEvent

    from tests.support.model import Model
    from tests.support.services.kafka import Reachable
    from tests.support.streams import Event

COLLECTOR, API, CLI = "replog_collector.main", "replog_api.main", "replog_cli.main"
RECORDS = "/replication/api/task/record"
#: The largest page that there is.
PAGE_SIZE = 1000
#: How long a process may take to start: it takes many times the usual on a machine that is busy with other tests.
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0
#: How long everything published may take to be readable; a member of the group that was killed is missed after 10 s.
READABLE_TIMEOUT_S = 60.0
#: Largest message that the tests' producer sends; the broker has the last word.
REQUEST_BYTES = 8 * 1024 * 1024
#: Largest message that the dead-letter topic takes; the embedded broker takes any.
LETTER_BYTES = 2 * 1024 * 1024


class Message(NamedTuple):
    """What is published, as any client may."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def message(event: Event) -> Message:
    """An event as workers publish it."""
    return Message(event["recordId"].encode(), json.dumps(event).encode())


def command(module: str) -> list[str]:
    """How a process of the project is started."""
    return [sys.executable, "-m", module]


def environment(variables: dict[str, str]) -> dict[str, str]:
    """The environment of a process with these settings and no others, and no terminal's size: some libraries set it."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("REPLOG_")}
    return {name: text for name, text in kept.items() if name not in {"COLUMNS", "LINES"}} | variables


class Process:
    """A process of the project that can be started again after it ended; each life has its own log."""

    def __init__(self, module: str, folder: Path, variables: dict[str, str], arguments: Sequence[str] = ()) -> None:
        self._module = module
        self._arguments = arguments
        self._folder = folder
        self._environment = environment(variables)
        self._log = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return once it logged that it did."""
        # The working directory is one without a .env file.
        self._log = self._folder / f"{self._module}-{uuid.uuid4().hex}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command(self._module), *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
            )
        assert wait_until(lambda: bool(self.lines("started")) or not self.running, START_TIMEOUT_S), self.log
        assert self.running, self.log

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What its latest life wrote."""
        return self._log.read_text()

    def lines(self, action: str) -> list[dict[str, Any]]:
        """The log's lines about one action."""
        # The last line may be half written.
        written = (json.loads(line) for line in self.log.splitlines(keepends=True) if line.endswith("}\n"))
        return [line for line in written if line["event"] == action]

    @property
    def url(self) -> str:
        """Where it answers over HTTP."""
        started = self.lines("started")[0]
        return str(started["api" if self._module == API else "health"])

    def get(self, path: str) -> httpx.Response:
        """What it answers."""
        return httpx.get(f"{self.url}{path}", timeout=STOP_TIMEOUT_S, verify=NO_TLS)

    def metrics(self, name: str) -> dict[str, float]:
        """The samples of a metric, by their labels as written."""
        pattern = re.compile(rf"^{name}(?:{{(.*)}})? (\S+)$", re.MULTILINE)
        return {labels: float(number) for labels, number in pattern.findall(self.get("/metrics").text)}

    def stop(self) -> int:
        """Ask it to end (SIGTERM); returns the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """The exit code, once it has ended by itself."""
        assert self._process is not None
        return self._process.wait(STOP_TIMEOUT_S)

    def ends_within(self, seconds: float) -> bool:
        """Ask it to end (SIGTERM); returns whether it did in time."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return wait_until(lambda: not self.running, seconds)

    def pause(self) -> None:
        """Let it stand still (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash would, with its worker processes if it has any."""
        if self.running and self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@dataclass
class System:
    """Collectors and a query service that belong together."""

    topic: str
    variables: dict[str, str]
    folder: Path
    processes: list[Process]

    def process(self, module: str, **variables: str) -> Process:
        """A process with the system's settings, not started yet; ended at the latest with the system."""
        settings = self.variables | variables
        if module == API:
            settings["REPLOG_REDIS_URL"] = url_as_query_service(settings["REPLOG_REDIS_URL"])
        self.processes.append(Process(module, self.folder, settings))
        return self.processes[-1]

    def notifier(self, url: str, *options: str, **variables: str) -> Process:
        """A ``replog notify`` that posts to ``url``, not started yet."""
        arguments = ["notify", "--url", url, "--group", f"{self.topic}.notify", *options]
        self.processes.append(Process(CLI, self.folder, self.variables | variables, arguments))
        return self.processes[-1]

    def started(self, module: str, **variables: str) -> Process:
        """A process with the system's settings, started."""
        process = self.process(module, **variables)
        process.start()
        return process

    def publish(self, messages: Sequence[Message]) -> list[Message]:
        """Publish with a stock client; returns what the broker took, which has to be all but what is over 1 MB."""
        return asyncio.run(_publish(self.variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"], self.topic, messages))

    def dead_letters(self) -> list[Message]:
        """All there are now on the dead-letter topic."""
        return asyncio.run(_read(self.variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"], f"{self.topic}.dlq"))

    @property
    def outcomes_topic(self) -> str:
        """The topic of outcomes."""
        return outcomes_topic_of(self.topic)

    def publish_outcomes(self) -> None:
        """Have all processes that are made from now on publish outcomes, or read them."""
        self.variables["REPLOG_KAFKA_OUTCOMES_TOPIC"] = self.outcomes_topic

    def outcomes(self) -> list[BaseCloudEvent]:
        """All outcomes that are published now, in order for each partition."""
        read = asyncio.run(_read(self.variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"], self.outcomes_topic))
        return [from_kafka_event(KafkaMessage(dict(one.headers), one.key, one.value or b"")) for one in read]


@contextlib.contextmanager
def system_on(broker: Reachable, redis_url: str, folder: Path, *, forget: bool = True) -> Iterator[System]:
    """A system on a fresh topic and prefix; whatever happens, nothing of it runs on.

    Unless a Redis of the test's own is thrown away as a whole, it is to ``forget`` the state.
    """
    name = f"replog-test.{uuid.uuid4().hex}"
    _make_topics(broker, name)
    variables = {
        "REPLOG_KAFKA_BOOTSTRAP_SERVERS": broker.address,
        "REPLOG_KAFKA_TOPIC": name,
        "REPLOG_KAFKA_GROUP_ID": name,
        "REPLOG_REDIS_URL": redis_url,
        "REPLOG_REDIS_PREFIX": name,
        "REPLOG_COLLECTOR_PORT": "0",
        # The streams' events are of 2021.
        "REPLOG_RETENTION_DAYS": "36500",
        "REPLOG_API_PORT": "0",
        "REPLOG_LOG_FORMAT": "json",
    }
    system = System(name, variables, folder, [])
    try:
        yield system
    finally:
        for process in system.processes:
            process.kill()
        if forget:
            remove_keys(redis_url, name)
        if broker.kind == "address":
            kafka_admin.delete_topics(broker.address, _topics_of(name))


def share(*collectors: Process) -> None:
    """Start those that do not run, and return once each has its share of the partitions."""

    def partitions_of(collector: Process) -> int:
        assigned = collector.lines("partitions_assigned")
        return len(assigned[-1]["partitions"]) if assigned else 0

    for collector in collectors:
        if not collector.running:
            collector.start()
    evenly = [kafka_admin.PARTITIONS // len(collectors)] * len(collectors)
    assert wait_until(lambda: [*map(partitions_of, collectors)] == evenly, READABLE_TIMEOUT_S)


def outcomes_topic_of(topic: str) -> str:
    """The topic of outcomes that goes with one of events."""
    return f"{topic}.outcomes"


def _topics_of(name: str) -> list[str]:
    return [name, f"{name}.dlq", outcomes_topic_of(name)]


def _make_topics(broker: Reachable, name: str) -> None:
    if broker.kind == "embedded":
        kafka_admin.touch_topics(broker.address, _topics_of(name))
        return
    kafka_admin.create_topics(broker.address, _topics_of(name))
    narrow(broker.address, f"{name}.dlq", LETTER_BYTES)


def narrow(address: str, topic: str, max_bytes: int) -> None:
    """Let ``topic`` take Kafka batches of ``max_bytes`` at most."""
    entry = ConfigEntry("max.message.bytes", str(max_bytes), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": address})
    for altered in admin.incremental_alter_configs([resource]).values():
        altered.result(START_TIMEOUT_S)


def answers_what(api: Process, model: Model) -> None:
    """Require that ``api`` comes to answer what the oracle says about every task and record, and nothing else."""
    expected = list(_expected(model))
    with httpx.Client(base_url=api.url, timeout=STOP_TIMEOUT_S) as client:
        wait_until(lambda: _difference(client, expected) is None, READABLE_TIMEOUT_S)
        assert _difference(client, expected) is None


def _difference(client: httpx.Client, answers: list[tuple[str, Any]]) -> tuple[str, Any, Any] | None:
    """The first answer that is not what it has to be, if any: its path, what it is, what it has to be."""
    for path, expected in answers:
        answer = client.get(path).json()
        if answer["code"] or answer["data"] != expected:
            return path, answer, expected
    return None


def _expected(model: Model) -> Iterator[tuple[str, Any]]:
    for key in model.task_keys:
        rows = model.records(key)
        yield path_of("list", key), rows
        yield from _pages("page", key, rows)
    for record_id in model.record_ids:
        rows = model.details(record_id)
        yield path_of("detail/list", record_id), rows
        yield from _pages("detail/page", record_id, rows)
        yield path_of("overview", record_id), model.overview(record_id)


def _pages(route: str, name: str, rows: list[Any]) -> Iterator[tuple[str, Any]]:
    """All pages of ``rows``, or the first where there are none."""
    total_pages = ceil(len(rows) / PAGE_SIZE)
    for number in range(1, max(total_pages, 1) + 1):
        page = {
            "pageNumber": number,
            "pageSize": PAGE_SIZE,
            "totalRecords": len(rows),
            "totalPages": total_pages,
            "records": rows[(number - 1) * PAGE_SIZE : number * PAGE_SIZE],
        }
        yield path_of(route, name, f"pageNumber={number}&pageSize={PAGE_SIZE}"), page


async def _publish(address: str, topic: str, messages: Sequence[Message]) -> list[Message]:
    producer: Any = AIOKafkaProducer(bootstrap_servers=address, acks="all", max_request_size=REQUEST_BYTES)
    async with producer:
        taken = []
        for given in messages:
            sent = await producer.send(topic, given.value, key=given.key, headers=list(given.headers))
            if len(given.value or b"") > 500_000:
                # By itself: a refusal fails all that is sent with it.
                try:
                    await sent
                except MessageSizeTooLargeError:
                    continue
            taken.append(given)
        await producer.flush()
        return taken


async def _read(address: str, topic: str) -> list[Message]:
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(READABLE_TIMEOUT_S):
        partitions = [TopicPartition(topic, number) for number in range(kafka_admin.PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        read = []
        for _ in range(sum(ends.values())):
            record = await consumer.getone()
            read.append(Message(record.key, record.value, tuple(record.headers)))
        return read
