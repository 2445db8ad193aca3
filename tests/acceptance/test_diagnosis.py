"""``replog doctor`` and ``replog lag``, over the system's own processes: well, broken, and with nothing there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.services import kafka_admin
from tests.support.services.process import free_port, wait_until
from tests.support.system import API, COLLECTOR, READABLE_TIMEOUT_S, message, system_on
from tests.support.terminal import in_terminal, piped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.services.kafka import Broker
    from tests.support.streams import Event
    from tests.support.system import Process, System


def event(number: int) -> Event:
    """A valid event of a record of its own."""
    at = "2021-05-12T12:00:00Z"
    return {"type": "record.started", "recordId": f"r{number}", "taskKey": "k", "eventTime": at}


@pytest.fixture
def system(kafka: Broker, redis_url: str, tmp_path: Path) -> Iterator[System]:
    with system_on(kafka, redis_url, tmp_path) as system:
        yield system


def diagnosed(
    system: System, api: Process | None, **variables: str
) -> tuple[int, dict[str, str], list[dict[str, str]]]:
    """The exit code, the verdicts that are not passed by area and name, and all checks."""
    url = api.url if api else f"http://127.0.0.1:{free_port()}"
    ended = piped("doctor", "--json", **{**system.variables, "REPLOG_API_URL": url, **variables})
    found = json.loads(ended.stdout)
    assert ended.stderr == ""
    verdicts = {
        f"{check['area']} {check['check']}": check["verdict"]
        for check in found["checks"]
        # How fast a loaded machine is says nothing.
        if check["verdict"] != "pass" and check["check"] not in {"latency", "clock"}
    }
    return ended.returncode, verdicts, found["checks"]


def lag_of(system: System, **variables: str) -> dict[str, Any]:
    """What ``replog lag`` prints."""
    ended = piped("lag", "--json", **{**system.variables, **variables})
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def is_applied(system: System) -> bool:
    """Whether the checkpoints have reached the ends, and the group has committed them."""
    found = lag_of(system)
    return not found["lag"] and all(one["committed"] == one["end"] for one in found["partitions"] if one["end"])


@pytest.mark.real_broker
def test_a_system_that_works(system: System) -> None:
    """One broker has one copy of each topic, and the tests' topics are not those of production; nothing else."""
    api = system.started(API)
    system.started(COLLECTOR)
    system.publish([message(event(number)) for number in range(20)])
    assert wait_until(lambda: is_applied(system), READABLE_TIMEOUT_S)
    code, verdicts, checks = diagnosed(system, api)
    assert code == 0
    assert verdicts == {
        "kafka events.replication": "warn",
        "kafka dead-letters.replication": "warn",
        # The broker takes 4 MiB, the dead-letter topic 2.
        "kafka dead-letters.message-size": "warn",
        # The system keeps records for a hundred years, the broker messages for a week.
        "kafka events.retention": "warn",
    }
    assert {check["area"] for check in checks} == {"kafka", "redis", "api", "settings"}
    assert all(check["advice"] for check in checks if check["verdict"] != "pass")


@pytest.mark.real_broker
def test_lag_names_members_and_what_waits(system: System) -> None:
    """With a collector, without one, and when nobody has ever been there."""
    before = lag_of(system)
    assert (before["state"], before["members"], before["lag"], before["ageS"]) == ("Dead", [], 0, None)
    collector = system.started(COLLECTOR)
    system.publish([message(event(number)) for number in range(20)])
    assert wait_until(lambda: is_applied(system), READABLE_TIMEOUT_S)
    running = lag_of(system)
    ((member,),) = [running["members"]]
    assert member["partitions"] == list(range(kafka_admin.PARTITIONS))
    assert member["host"] == "127.0.0.1"
    assert {one["clientId"] for one in running["partitions"]} == {member["clientId"]}
    assert sum(one["position"] for one in running["partitions"]) == 20
    assert collector.stop() == 0
    system.publish([message(event(number)) for number in range(7)])
    behind = lag_of(system)
    assert (behind["members"], behind["lag"], behind["lost"]) == ([], 7, 0)
    assert behind["ageS"] > 0
    code, verdicts, _ = diagnosed(system, None)
    assert (code, verdicts["kafka group"]) == (1, "fail")


def test_lag_on_a_terminal(system: System) -> None:
    """Also of a broker that knows no members, and a group that nobody has joined."""
    system.publish([message(event(number)) for number in range(5)])
    with in_terminal("lag", columns=100, variables=system.variables) as terminal:
        assert terminal.end() == 0
    text = "\n".join(terminal.lines)
    assert "Lag: 5, the oldest unread event was published" in text
    assert [line.split()[:2] for line in terminal.lines if line.split()[:1] in (["0"], ["3"])] == [
        ["0", "none"],
        ["3", "none"],
    ]


def test_a_dead_kafka_and_a_dead_query_service(system: System) -> None:
    """Are a line each, and Redis is checked all the same."""
    dead = f"127.0.0.1:{free_port()}"
    code, verdicts, checks = diagnosed(system, None, REPLOG_KAFKA_BOOTSTRAP_SERVERS=dead)
    assert code == 1
    assert verdicts == {"kafka brokers": "fail", "api ready": "fail"}
    assert dead in next(check["found"] for check in checks if check["check"] == "brokers")
    ended = piped("lag", **{**system.variables, "REPLOG_KAFKA_BOOTSTRAP_SERVERS": dead})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert dead in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_dead_redis(system: System) -> None:
    """Kafka is checked all the same, and lag counts from what is committed."""
    api = system.started(API)
    dead = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    code, verdicts, checks = diagnosed(system, api, REPLOG_REDIS_URL=dead)
    assert code == 1
    assert verdicts["redis server"] == "fail"
    assert {"kafka brokers", "kafka events.topic"} & verdicts.keys() == set()
    assert "hunter2" not in json.dumps(checks)
    system.publish([message(event(0))])
    found = lag_of(system, REPLOG_REDIS_URL=dead)
    assert found["lag"] == 1
    assert any("positions" in note for note in found["notes"])
    assert "hunter2" not in json.dumps(found)


def test_topics_that_are_not_there(system: System) -> None:
    """Are named, and not made by the question."""
    missing = f"{system.topic}-missing"
    for _ in range(2):
        code, verdicts, _ = diagnosed(system, None, REPLOG_KAFKA_TOPIC=missing)
        assert code == 1
        assert (verdicts["kafka events.topic"], verdicts["kafka dead-letters.topic"]) == ("fail", "fail")
    ended = piped("lag", **{**system.variables, "REPLOG_KAFKA_TOPIC": missing})
    assert ended.returncode == 1
    assert missing in ended.stderr


def test_the_topic_of_outcomes_is_checked_if_it_is_set(system: System) -> None:
    missing = f"{system.topic}.none"
    for topic, verdict in ((system.outcomes_topic, "pass"), (missing, "fail"), ("", None)):
        _, _, checks = diagnosed(system, None, REPLOG_KAFKA_OUTCOMES_TOPIC=topic)
        found = {check["check"]: check["verdict"] for check in checks}
        assert found.get("outcomes.topic") == verdict


def test_settings_that_are_none(system: System) -> None:
    """Unknown ones, those of a Kubernetes Service, and wrong ones, which end the command before."""
    variables = {"REPLOG_REDIS_URI": "hunter2", "REPLOG_API_PORT": "tcp://10.0.0.1:8080"}
    _, verdicts, checks = diagnosed(system, None, **variables)
    assert (verdicts["settings REPLOG_REDIS_URI"], verdicts["settings REPLOG_API_PORT"]) == ("warn", "warn")
    assert "hunter2" not in json.dumps(checks)
    wrong = piped("doctor", **{**system.variables, "REPLOG_RETENTION_DAYS": "-1"})
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("REPLOG_RETENTION_DAYS=-1 is wrong")


def test_verdicts_on_a_terminal(system: System) -> None:
    """With what to do below each, in a narrow one."""
    with in_terminal("doctor", columns=80, variables={**system.variables, "REPLOG_API_URL": "http://127.0.0.1:1"}) as t:
        assert t.end() == 1
    assert any(line.split()[:3] == ["fail", "api", "ready"] for line in t.lines)
    assert "fail" in t.lines[-1]


def test_processes_say_at_their_start_what_doctor_would(system: System, kafka: Broker) -> None:
    """A query service that nobody has written for; a collector whose topics take no large messages."""
    api = system.started(API)
    assert wait_until(lambda: bool(api.lines("checkpoints_missing")), READABLE_TIMEOUT_S)
    assert api.lines("append_only_off") == []
    collector = system.started(COLLECTOR)
    assert wait_until(lambda: bool(collector.lines("partitions_assigned")), READABLE_TIMEOUT_S)
    assert collector.lines("checkpoints_missing") == []
    if kafka.kind != "embedded":
        assert wait_until(lambda: bool(collector.lines("message_limit_small")), READABLE_TIMEOUT_S)
        (line,) = collector.lines("message_limit_small")
        assert (line["topic"], line["max_message_bytes"]) == (f"{system.topic}.dlq", 2 * 1024 * 1024)
