"""One fault under load: a stream is published, things are killed, and the oracle has the last word."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from tests.support import batches, streams
from tests.support.faults_table import GONE
from tests.support.model import Model
from tests.support.services import kafka_admin
from tests.support.services.kafka_cluster import KafkaCluster
from tests.support.services.kafka_maven import MavenBroker
from tests.support.services.process import wait_until
from tests.support.system import API, COLLECTOR, Message, Process, answers_what, message, narrow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cloudevents.core.base import BaseCloudEvent

    from tests.support.services.redis import OwnRedis
    from tests.support.streams import Event
    from tests.support.system import System

#: How long anything may take that has to happen.
DEADLINE_S = 90.0
#: Events a second that are published meanwhile.
RATE = 500
ANSWER_S = 10.0
#: Streams of one load, at most.
LOAD_SEEDS = 1000
#: Events of one transaction.
TRANSACTION = 100
#: What is run to be killed in mid-transaction, and from where.
TORN = "tests.support.torn_transaction"
ROOT = Path(__file__).parents[2]
#: What breaks the contract, and what is none of it.
POISON = [Message(b"bad", value) for value in (b"{", b"", b"null", b'{"type":"record.paused"}', b"\xff", None)]


def stream(seed: int, *, records: int = 20, details: int = 20) -> list[Event]:
    """Records with many details under awkward names, in any order, some events twice."""
    random = Random(seed)
    events: list[Event] = []
    for number in range(records):
        record_id = f"run-{seed}-{number}"
        events += streams.record_events(random, record_id, ["busy"])
        events += streams.awkward_details(random, record_id, details)
    return streams.shuffled(random, events)


class Scenario:
    """A system, what was published to it, and a journal of what was done to it."""

    def __init__(
        self, system: System, kafka: MavenBroker | KafkaCluster, redis: OwnRedis | None, journal: list[str]
    ) -> None:
        self.system = system
        self._kafka = kafka
        #: The single Redis of this scenario; None where it has several.
        self._redis = redis
        self.events: list[Event] = []
        self._journal = journal
        self._began_s = time.monotonic()
        self._collectors: list[Process] = []
        self._admin: AdminClient | None = None
        self._consumer: Consumer | None = None

    @property
    def broker(self) -> MavenBroker:
        """The single broker."""
        assert isinstance(self._kafka, MavenBroker)
        return self._kafka

    @property
    def brokers(self) -> KafkaCluster:
        """The brokers, where they are several."""
        assert isinstance(self._kafka, KafkaCluster)
        return self._kafka

    @property
    def redis(self) -> OwnRedis:
        """The Redis."""
        assert self._redis
        return self._redis

    def note(self, what: str) -> None:
        """Print what is done now, and keep it for the table."""
        print(f"{time.monotonic() - self._began_s:6.1f} s  {what}")  # noqa: T201 - the run's record
        self._journal.append(what)

    def gone(self, what: str) -> None:
        """Say what this fault loses although everything works as promised."""
        self._journal.append(f"{GONE}{what}")

    def collector(self, **variables: str) -> Process:
        """One more collector, started."""
        process = self.system.started(COLLECTOR, **variables)
        self._collectors.append(process)
        return process

    def kill(self, collector: Process) -> None:
        """End ``collector`` as a crash would."""
        self.note("kill -9 of a collector")
        collector.kill()

    def killed_while_merging(self) -> Process:
        """A collector that was killed while Redis stood still with a batch of it."""
        collector = self.collector()
        self.publish(stream(1))
        self.caught_up()
        self.redis.pause()
        self.publish(stream(2))
        self.wait(lambda: self.pending(collector) > 0, "a batch before Redis")
        self.kill(collector)
        self.redis.resume()
        return collector

    def stop(self, collector: Process) -> None:
        """End ``collector`` in order."""
        assert collector.stop() == 0

    def publish(self, events: Sequence[Event]) -> None:
        """Publish ``events`` at once."""
        with self.publishing(events, rate=1_000_000):
            pass

    def publish_others(self, messages: Sequence[Message]) -> None:
        """Publish what the oracle is not to know of."""
        _publish(self._kafka.address, self.system.topic, messages, 1_000_000)

    def publish_batch(self, data: bytes) -> None:
        """Publish the batch ``data`` as it is to each partition."""
        for number in self.ends():
            asyncio.run(batches.produce(self._kafka.address, self.system.topic, number, data))

    @contextmanager
    def publishing(self, events: Sequence[Event], *, rate: int = RATE) -> Iterator[None]:
        """Publish ``events`` while the block runs; all are acknowledged at its end, whatever it does to the broker."""
        self.events += events
        messages = list(map(message, events))
        with _meanwhile(lambda: _publish(self._kafka.address, self.system.topic, messages, rate)):
            yield

    @contextmanager
    def load(self, seed: int) -> Iterator[None]:
        """Publish streams that begin with ``seed``, one after the other, for as long as the block runs.

        What waits in the block for a collector to get on waits under load, however long it takes.
        """
        over = threading.Event()

        def run() -> None:
            for number in count(seed * LOAD_SEEDS):
                events = stream(number)
                self.events += events
                _publish(self._kafka.address, self.system.topic, list(map(message, events)), RATE)
                if over.is_set():
                    return

        with _meanwhile(run):
            try:
                yield
            finally:
                over.set()

    def publish_in_transactions(self, events: Sequence[Event], *, commit: bool) -> None:
        """Publish ``events`` in several transactions. What is aborted never was, for the oracle."""
        if commit:
            self.events += events
        transactional_id = f"{self.system.topic}-worker"
        producer = Producer(
            {"bootstrap.servers": self._kafka.address, "transactional.id": transactional_id, "log_level": 0}
        )
        producer.init_transactions(DEADLINE_S)
        for first in range(0, len(events), TRANSACTION):
            producer.begin_transaction()
            for given in map(message, events[first : first + TRANSACTION]):
                producer.produce(self.system.topic, given.value, given.key)
            # An abort would drop what has not left.
            assert producer.flush(DEADLINE_S) == 0
            (producer.commit_transaction if commit else producer.abort_transaction)(DEADLINE_S)

    def tear_transaction(self, events: Sequence[Event], *, timeout_s: int) -> None:
        """Kill a worker whose transaction has ``events``; the broker aborts it some seconds after ``timeout_s``."""
        command = [sys.executable, "-m", TORN, self._kafka.address, self.system.topic, str(timeout_s)]
        lines = "".join(json.dumps([event["recordId"], json.dumps(event)]) + "\n" for event in events)
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        with worker:
            assert worker.stdin
            assert worker.stdout
            worker.stdin.write(lines)
            worker.stdin.close()
            opened = worker.stdout.readline()
            worker.kill()
        assert opened == "open\n"

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for what has to come true; the accounts of all collectors have to balance meanwhile."""

        def looked() -> bool:
            self.check_accounts()
            return condition()

        assert wait_until(looked, DEADLINE_S), f"never: {what}; journal: {self._journal}"

    def check_accounts(self) -> None:
        """Require of every collector that what it received is what became of it and what it has in hand."""
        for collector in self._collectors:
            if collector.running:
                received, results, pending = accounts(collector)
                assert received == results + pending

    def pending(self, collector: Process) -> float:
        """Events that ``collector`` has in hand."""
        return accounts(collector)[2]

    def lag(self) -> int:
        """Messages behind the group's commits, by the broker's word."""
        topic = self.system.topic
        with self._asking_group() as consumer:
            numbers = consumer.list_topics(topic, timeout=ANSWER_S).topics[topic].partitions
            found = consumer.committed([TopicPartition(topic, number) for number in numbers], timeout=ANSWER_S)
        # A partition of which nothing is committed has a negative offset.
        committed = {partition.partition: max(0, partition.offset) for partition in found}
        return sum(end - committed.get(number, 0) for number, end in self.ends().items())

    def ends(self) -> dict[int, int]:
        """The end of each partition."""
        topic = self.system.topic
        with self._asking() as admin:
            numbers = admin.list_topics(topic, timeout=ANSWER_S).topics[topic].partitions
            return kafka_admin.ends_of(admin, topic, numbers, ANSWER_S)

    def caught_up(self) -> None:
        """Return once everything published is committed."""
        self.wait(lambda: self.lag() == 0, "lag 0")

    def finish(self, events: Sequence[Event] | None = None, variables: Mapping[str, str] | None = None) -> None:
        """Require that everything is committed and that every answer is the oracle's about ``events``, or all.

        ``variables`` are settings of the query service that is asked.
        """
        self.caught_up()
        api = self.system.started(API, **(variables or {}))
        answers_what(api, Model(list(self.events if events is None else events), now=datetime.now(UTC)))
        self.check_accounts()

    def narrow_dead_letters(self, max_bytes: int) -> None:
        """Let the dead-letter topic take messages of ``max_bytes`` at most."""
        narrow(self._kafka.address, f"{self.system.topic}.dlq", max_bytes)

    def narrow_outcomes(self, max_bytes: int) -> None:
        """Let the outcomes topic take messages of ``max_bytes`` at most."""
        narrow(self._kafka.address, self.system.outcomes_topic, max_bytes)

    def outcomes_are_complete(self) -> None:
        """Require that everything is committed, and that the end of every record that ended is published.

        Outcomes with the same id have to be the same.
        """
        self.caught_up()
        by_id: dict[str, BaseCloudEvent] = {}
        latest: dict[str, BaseCloudEvent] = {}
        for event in self.system.outcomes():
            first = by_id.setdefault(event.get_id(), event)
            assert first.get_attributes() == event.get_attributes()
            record_id = str(event.get_subject())
            latest[record_id] = max(latest.get(record_id, event), event, key=_sequence)
        model = Model(self.events, now=datetime.now(UTC))
        rows = [row for key in model.task_keys for row in model.records(key) if row["status"] != "RUNNING"]
        assert rows
        for row in rows:
            data: Any = latest[row["id"]].get_data()
            assert [data[key] for key in _OF_AN_END] == [row[key] for key in _OF_AN_END]

    def delete_everything_in_the_topic(self) -> int:
        """As retention would; returns the number of messages deleted."""
        ends = self.ends()
        partitions = [TopicPartition(self.system.topic, number, end) for number, end in ends.items()]
        with self._asking() as admin:
            for deleted in admin.delete_records(partitions).values():
                deleted.result(ANSWER_S)
        return sum(ends.values())

    def delete_topic(self, name: str) -> None:
        """Delete a topic, with all that is in it."""
        kafka_admin.delete_topics(self._kafka.address, [name])

    def create_topic(self, name: str) -> None:
        """Make a topic."""
        kafka_admin.create_topics(self._kafka.address, [name])

    @contextmanager
    def _asking(self) -> Iterator[AdminClient]:
        """The client, not used again once it failed: one that saw a coordinator die may wait for it without end.

        Waiting asks several times a second, and a client each time would start threads and connections by the thousand.
        """
        admin = self._admin or AdminClient(self._client_settings)
        self._admin = None
        yield admin
        self._admin = admin

    @contextmanager
    def _asking_group(self) -> Iterator[Consumer]:
        """The same for what the group has committed, of a client that never joins it.

        The process dies where a client that is of no group asks, and the group's coordinator has just moved: librdkafka
        then looks for the client's own group (https://github.com/confluentinc/librdkafka/issues/5040).
        """
        consumer = self._consumer or Consumer({**self._client_settings, "group.id": self.system.topic})
        self._consumer = None
        yield consumer
        self._consumer = consumer

    @property
    def _client_settings(self) -> dict[str, Any]:
        return {"bootstrap.servers": self._kafka.address, "log_level": 0, "reconnect.backoff.max.ms": 200}

    def progress(self, *collectors: Process) -> None:
        """Wait until each of ``collectors`` has got on from where it is now; under load, or it need not."""
        settled = {collector: _settled(collector) for collector in collectors}
        self.wait(lambda: all(_settled(collector) > before for collector, before in settled.items()), "progress")

    def add_partitions(self, count: int) -> None:
        """Give the topic ``count`` partitions in all."""
        with self._asking() as admin:
            for created in admin.create_partitions([NewPartitions(self.system.topic, count)]).values():
                created.result(ANSWER_S)


#: Keys of a record that its end decides.
_OF_AN_END = ("id", "status", "endTime", "errorReason")


def _sequence(event: BaseCloudEvent) -> str:
    return str(event.get_extension("sequence"))


def accounts(collector: Process) -> tuple[float, float, float]:
    """Received, the sum of what became of events, and pending: all of one scrape."""
    text = collector.get("/metrics").text
    sums = Counter[str]()
    for name, number in re.findall(r"^(replog_events\w*?)(?:\{.*\})? (\S+)$", text, re.MULTILINE):
        sums[name] += float(number)  # type: ignore[assignment]
    return sums["replog_events_received_total"], sums["replog_events_total"], sums["replog_events_pending"]


def _settled(collector: Process) -> float:
    """Events of which something became."""
    return sum(collector.metrics("replog_events_total").values())


@contextmanager
def _meanwhile(run: Callable[[], None]) -> Iterator[None]:
    """Run ``run`` beside the block, and to its end; what it raises is raised then."""
    failures: list[BaseException] = []

    def watched() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    thread = threading.Thread(target=watched)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert not failures, failures


def _publish(address: str, topic: str, messages: Sequence[Message], rate: int) -> None:
    failures: list[Any] = []
    producer = Producer(
        {"bootstrap.servers": address, "acks": "all", "message.timeout.ms": 0, "log_level": 0, "linger.ms": 5}
    )

    def delivered(error: Any, _: Any) -> None:
        if error:
            failures.append(error)

    began_s = time.monotonic()
    for number, given in enumerate(messages):
        producer.produce(topic, given.value, given.key, headers=list(given.headers), on_delivery=delivered)
        producer.poll(max(0.0, began_s + number / rate - time.monotonic()))
    producer.flush(DEADLINE_S)
    assert not failures
    assert len(producer) == 0
