"""``replog forget`` on a running system: the store forgets, a replay of the topic forgets, and what is later lives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.model import Model
from tests.support.system import API, COLLECTOR, RECORDS, answers_what, environment, message, system_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.services.kafka import Broker
    from tests.support.streams import Event
    from tests.support.system import Process, System

TIMEOUT_S = 120
UNKNOWN_RECORD = 250310


@pytest.fixture
def system(kafka: Broker, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of one test, nothing started."""
    with system_on(kafka, redis_url, tmp_path_factory.mktemp("system")) as made:
        yield made


def replog(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, with the system's settings."""
    return subprocess.run(
        [sys.executable, "-m", "replog_cli.main", *arguments],
        env=environment(system.variables) | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def run_of(record_id: str, task_key: str, at: datetime, *, details: int, attempt: int = 0) -> list[Event]:
    """A record that failed, with details."""
    head = {"recordId": record_id, "eventTime": at.isoformat(), "attempt": attempt}
    of_record = {**head, "taskKey": task_key}
    ended = {"status": "FAILED", "errorReason": "refused", "eventTime": (at + timedelta(seconds=1)).isoformat()}
    return [
        {**of_record, "type": "record.started"},
        *({**head, "type": "detail.started", "detailId": f"d{i}", "remoteCluster": "dev"} for i in range(details)),
        {**of_record, "type": "record.finished", **ended},
    ]


def erasures_in(document: dict[str, Any]) -> list[Event]:
    return [
        {"type": "record.erased", "recordId": row["recordId"], "eventTime": row["erasedUntil"]}
        for row in document["records"]
    ]


def oracle(events: list[Event]) -> Model:
    return Model(events, now=datetime.now(UTC))


def is_unknown(api: Process, record_id: str) -> bool:
    answer = api.get(f"{RECORDS}/{record_id}")
    return (answer.status_code, answer.json()["code"]) == (400, UNKNOWN_RECORD)


def test_what_is_forgotten_stays_forgotten_and_what_is_later_lives(system: System) -> None:
    """One run has a worker whose clock is an hour ahead: its events are later than the erasure, and came before it."""
    now = datetime.now(UTC)
    before, ahead = now - timedelta(minutes=1), now + timedelta(hours=1)
    events = [
        *run_of("gone", "t1", before, details=50),
        *run_of("torn", "t1", before, details=30, attempt=1),
        *run_of("torn", "t1", ahead, details=3),
        *run_of("other", "t2", before, details=2),
    ]
    system.publish([message(event) for event in events])
    system.started(COLLECTOR)
    api = system.started(API)
    answers_what(api, oracle(events))
    etag = api.get(f"{RECORDS}/list/t1").headers["ETag"]

    listed = json.loads(replog(system, "forget", "--task", "t1", "--json").stdout)
    assert [(row["recordId"], row["details"], row["erasedUntil"]) for row in listed["records"]] == [
        ("torn", 30, None),
        ("gone", 50, None),
    ]
    answers_what(api, oracle(events))

    done = replog(system, "forget", "--task", "t1", "--execute", "--json")
    assert done.returncode == 0, done.stderr
    events += erasures_in(json.loads(done.stdout))
    assert is_unknown(api, "gone")
    answers_what(api, oracle(events))
    assert len(oracle(events).details("torn")) == 3
    assert api.get(f"{RECORDS}/list/t1").headers["ETag"] != etag

    # A worker that says everything again brings nothing back; what it does from now on is a new beginning.
    system.publish([message(event) for event in events])
    again = run_of("gone", "t1", datetime.now(UTC), details=1)
    system.publish([message(event) for event in again])
    answers_what(api, oracle(events + again))

    replayed = {"REPLOG_REDIS_PREFIX": f"{system.topic}-2", "REPLOG_KAFKA_GROUP_ID": f"{system.topic}-2"}
    system.started(COLLECTOR, **replayed)
    answers_what(system.started(API, **replayed), oracle(events + again))


def test_the_command_says_what_it_cannot_do(system: System) -> None:
    """Nothing is published for what the store does not know."""
    system.started(COLLECTOR)
    assert replog(system, "forget").returncode == 2
    assert replog(system, "forget", "--record", "r", "--task", "t").returncode == 2
    for arguments, said in (
        (["--record", "r"], "the store knows no record r"),
        (["--task", "t"], "no record of task t is known"),
    ):
        refused = replog(system, "forget", *arguments, "--execute")
        assert (refused.returncode, refused.stderr.splitlines()[-1]) == (1, said)
