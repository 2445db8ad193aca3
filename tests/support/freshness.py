"""Whether answers are as fresh as they say: what was published before that time has to be in them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import httpx
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from tests.support.system import RECORDS, message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.system import Process, System

HEADER = "X-Replog-As-Of"
#: Records whose details are published in turn: their keys lie in several partitions.
RECORD_IDS = [f"run-{number}" for number in range(8)]
#: Seconds between two events, and between two answers.
EVENT_S, ANSWER_S = 0.005, 0.05
ALTER_TIMEOUT_S = 30.0


class Answer(NamedTuple):
    """What one answer said: as of when it is, in ms, and which details of a record there are."""

    as_of_ms: int
    record_id: str
    detail_ids: frozenset[str]


class VersionRecorder:
    """Publishes events, asks about them, and remembers both.

    Where the topic is ``dated`` by the broker, that says exactly when it had each event; else it is when it said so.
    """

    def __init__(self, system: System, api: Process, *, dated: bool) -> None:
        self._dated = dated
        self._system = system
        self._api = api
        self._stopped = threading.Event()
        self._failures: list[BaseException] = []
        #: By record: its details, and when the broker had each, in ms.
        self.published: defaultdict[str, dict[str, int]] = defaultdict(dict)
        #: Those that events went to.
        self.partitions: set[int] = set()
        self.answers: list[Answer] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Publish and ask while the block runs; then no answer may say that it is fresher than it is."""
        threads = [threading.Thread(target=self._guarded, args=(run,)) for run in (self._publish, self._ask)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()
        assert not self._failures, self._failures
        self.check()

    def check(self) -> None:
        """Require of every answer that it has what was published before the time that it says."""
        for at_ms, record_id, detail_ids in self.answers:
            due = {detail_id for detail_id, ms in self.published[record_id].items() if ms < at_ms}
            assert due <= detail_ids, (at_ms, record_id, sorted(due - detail_ids)[:5])

    @property
    def told_ms(self) -> int:
        """As of when the last answer was."""
        return self.answers[-1].as_of_ms if self.answers else -1

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - told at the end
            self._failures.append(error)

    def _publish(self) -> None:
        asyncio.run(self._publish_all())

    async def _publish_all(self) -> None:
        address = self._system.variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"]
        # Partitions that are new are to be used soon.
        options = {"bootstrap_servers": address, "acks": "all", "metadata_max_age_ms": 300}
        async with AIOKafkaProducer(**options) as producer:
            number = 0
            while not self._stopped.is_set():
                record_id, detail_id = RECORD_IDS[number % len(RECORD_IDS)], f"d{number}"
                fields = {"type": "detail.started", "recordId": record_id, "detailId": detail_id}
                sent = message({**fields, "eventTime": datetime.now(UTC).isoformat()})
                kept = await producer.send_and_wait(self._system.topic, sent.value, key=sent.key)
                self.published[record_id][detail_id] = kept.timestamp if self._dated else time.time_ns() // 1_000_000
                self.partitions.add(kept.partition)
                number += 1
                await asyncio.sleep(EVENT_S)

    def _ask(self) -> None:
        number = 0
        with httpx.Client(base_url=self._api.url, timeout=ALTER_TIMEOUT_S) as client:
            while not self._stopped.wait(ANSWER_S):
                record_id = RECORD_IDS[number % len(RECORD_IDS)]
                answer = client.get(f"{RECORDS}/detail/list/{record_id}")
                number += 1
                if answer.status_code == httpx.codes.OK:
                    found = frozenset(row["id"] for row in answer.json()["data"])
                    self.answers.append(Answer(as_of_ms(answer), record_id, found))


def as_of_ms(answer: httpx.Response) -> int:
    """As of when an answer says that it is, in ms since 1970."""
    moment = datetime.strptime(answer.headers[HEADER], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def let_the_broker_date(system: System) -> None:
    """Have the broker date the topic's messages itself."""
    dated = ConfigEntry("message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, system.topic, incremental_configs=[dated])
    admin = AdminClient({"bootstrap.servers": system.variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"]})
    for altered in admin.incremental_alter_configs([resource]).values():
        altered.result(ALTER_TIMEOUT_S)
