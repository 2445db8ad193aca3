"""Runs for the tests of the web page: of every status, over clusters and repositories whose names begin alike."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from replog.events import DetailFinished, DetailStarted, RecordFinished, RecordStarted
from replog.settings import StoreSettings, load
from replog.store.client.connection import Connection
from replog.store.write.batch import Batch
from replog.store.write.writer import Writer
from replog.times import TimeUs
from tests.support.browser import ago, run_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from replog.events import DetailEvent, RecordEvent
    from tests.support.browser import Store
    from tests.support.streams import Event

CLUSTERS = ("dev", "dev2", "shanghai")
REPOSITORIES = ("npm", "npm-local")
#: The runs that tests look for, by what they are.
FAILED, EARLIER, RUNNING, SILENT = "run-failed", "run-earlier", "run-running", "run-silent"


def detail(number: int, status: str = "SUCCESS", **facts: Any) -> Event:
    """The facts of one detail."""
    return {
        "status": status,
        "localCluster": "center",
        "remoteCluster": CLUSTERS[number % len(CLUSTERS)],
        "repoName": REPOSITORIES[number // len(CLUSTERS) % len(REPOSITORIES)],
        "packageKey": f"npm://package-{number}",
        "version": f"1.{number}.0",
        **({"errorReason": f"dev answered {500 + number} Insufficient Storage"} if status == "FAILED" else {}),
        **facts,
    }


def runs() -> list[Event]:
    """A task that fails, one that runs, one that is silent, one that succeeds."""
    failing = [detail(number, "FAILED" if number % 4 == 0 else "SUCCESS") for number in range(20)]
    healed = [detail(number, "FAILED" if number % 5 == 0 else "SUCCESS") for number in range(20)]
    mixed = [detail(number, "RUNNING" if number > 7 else "SUCCESS") for number in range(10)]
    return [
        *run_of(EARLIER, "team-a/npm-sync", started=ago(hours=3), ended=ago(hours=2, minutes=50), details=healed),
        *run_of(FAILED, "team-a/npm-sync", started=ago(hours=1), ended=ago(minutes=50), details=failing),
        *run_of(RUNNING, "team-a/docker", started=ago(minutes=2), details=mixed, expectedDetails=40),
        *run_of(SILENT, "team-b/maven", started=ago(minutes=45), details=mixed[:9], expectedDetails=12),
        *run_of("run-good", "team-b/charts", started=ago(minutes=20), ended=ago(minutes=12), details=[detail(1)]),
    ]


#: The record and the tasks of tests at size: events of one merge, and how long the store may take for it.
HUGE, HUGE_TASK, OPEN_DETAILS = "huge", "team-a/huge", 100
MERGED_AT_ONCE, MERGED_WITHIN_S = 5_000, 60.0
_SECOND_US = 1_000_000


def huge_record(details: int) -> Iterator[RecordEvent | DetailEvent]:
    """A RUNNING record of so many details, one of ten of them failed, and the last :data:`OPEN_DETAILS` open."""
    now_us = time.time_ns() // 1000
    ids: dict[str, Any] = {"record_id": HUGE}
    yield RecordStarted(
        **ids, task_key=HUGE_TASK, event_us=TimeUs(now_us - 3600 * _SECOND_US), expected_details=details
    )
    for number in range(details):
        facts: dict[str, Any] = {
            **ids,
            "detail_id": f"{number:08}",
            "event_us": TimeUs(now_us - 3000 * _SECOND_US + number * 1000),
            "local_cluster": "center",
            "remote_cluster": CLUSTERS[number % len(CLUSTERS)],
            "repo_name": REPOSITORIES[number // len(CLUSTERS) % len(REPOSITORIES)],
            "package_key": f"npm://package-{number}",
        }
        if number >= details - OPEN_DETAILS:
            yield DetailStarted(**facts)
        elif number % 10:
            yield DetailFinished(**facts, status="SUCCESS")
        else:
            yield DetailFinished(**facts, status="FAILED", error_reason=f"dev answered 507 after {number} bytes")


def many_tasks(tasks: int) -> Iterator[RecordEvent]:
    """So many tasks with a record each, one of five of them failed."""
    now_us = time.time_ns() // 1000
    for number in range(tasks):
        at_us = TimeUs(now_us - (tasks - number) * 1000)
        status: dict[str, Any] = {"status": "SUCCESS"} if number % 5 else {"status": "FAILED", "error_reason": "full"}
        ids: dict[str, Any] = {"record_id": f"run-{number}", "task_key": f"team-{number % 97}/task-{number:06}"}
        yield RecordFinished(**ids, event_us=at_us, **status)


async def fill(store: Store, events: Iterable[RecordEvent | DetailEvent]) -> None:
    """Store ``events`` by the collector's way of writing, in batches as large as its own."""
    settings = load(StoreSettings, redis_url=store.redis_url, redis_prefix=store.prefix)
    async with Connection(settings, timeout_s=MERGED_WITHIN_S) as connection:
        writer, rest = Writer(connection), iter(events)
        while part := list(islice(rest, MERGED_AT_ONCE)):
            batch = Batch()
            for event in part:
                batch.add(event)
            await writer.merge(batch)
