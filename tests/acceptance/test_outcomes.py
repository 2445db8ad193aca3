"""Outcomes end to end: what collectors publish, and what `replog notify` posts of it."""

from __future__ import annotations

import subprocess
import time
from itertools import count
from typing import TYPE_CHECKING

import pytest

from replog.outcomes import STATUS_OF
from tests.support.services.process import wait_until
from tests.support.system import (
    API,
    CLI,
    COLLECTOR,
    READABLE_TIMEOUT_S,
    RECORDS,
    command,
    environment,
    message,
    system_on,
)
from tests.support.webhook_receiver import receiving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.services.kafka import Broker
    from tests.support.strategies import Event
    from tests.support.system import Process, System
    from tests.support.webhook_receiver import WebhookReceiver


@pytest.fixture
def system(kafka: Broker, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of one test that publishes outcomes, nothing started."""
    with system_on(kafka, redis_url, tmp_path_factory.mktemp("system")) as made:
        made.publish_outcomes()
        yield made


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with receiving() as running:
        yield running


def events_of(record_id: str, *, status: str = "FAILED", task: str = "team-a/x", attempt: int = 0) -> list[Event]:
    """One attempt of a record with one detail."""
    common = {"recordId": record_id, "taskKey": task, "attempt": attempt}
    times = [f"2021-05-12T1{attempt}:00:0{second}Z" for second in range(3)]
    return [
        {**common, "type": "record.started", "eventTime": times[0]},
        {**common, "type": "detail.finished", "detailId": "d", "status": status, "eventTime": times[1]},
        {**common, "type": "record.finished", "status": status, "eventTime": times[2]},
    ]


def publish(system: System, *events: list[Event]) -> None:
    system.publish([message(event) for of_record in events for event in of_record])


def settled(collector: Process) -> float:
    return sum(collector.metrics("replog_events_total").values())


def published(collector: Process) -> float:
    return sum(collector.metrics("replog_outcomes_published_total").values())


def shown(system: System) -> dict[str, list[str]]:
    """The types of the outcomes by record, in order."""
    found: dict[str, list[str]] = {}
    for event in system.outcomes():
        found.setdefault(str(event.get_subject()), []).append(STATUS_OF[event.get_type()])
    return found


def test_each_end_is_published_once_and_a_replay_is_silent(system: System) -> None:
    """A new group reads everything again."""
    collector = system.started(COLLECTOR)
    publish(system, events_of("a"), events_of("b", status="SUCCESS"))
    assert wait_until(lambda: published(collector) == 2, READABLE_TIMEOUT_S), collector.log
    publish(system, events_of("a", attempt=1, status="SUCCESS")[:1])
    assert wait_until(lambda: published(collector) == 3, READABLE_TIMEOUT_S), collector.log
    publish(system, events_of("a", attempt=1, status="SUCCESS"))
    assert wait_until(lambda: published(collector) == 4, READABLE_TIMEOUT_S), collector.log
    assert shown(system) == {"a": ["FAILED", "RUNNING", "SUCCESS"], "b": ["SUCCESS"]}
    assert collector.metrics("replog_outcomes_published_total") == {
        'status="RUNNING"': 1,
        'status="SUCCESS"': 2,
        'status="FAILED"': 1,
    }
    assert collector.stop() == 0
    again = system.started(COLLECTOR, REPLOG_KAFKA_GROUP_ID=f"{system.topic}.again")
    assert wait_until(lambda: settled(again) == 10, READABLE_TIMEOUT_S), again.log
    assert again.stop() == 0
    assert len(system.outcomes()) == 4


def test_the_data_is_the_record_as_the_query_service_answers_it(system: System) -> None:
    collector, api = system.started(COLLECTOR), system.started(API)
    publish(system, events_of("a"))
    assert wait_until(lambda: published(collector) == 1, READABLE_TIMEOUT_S), collector.log
    (outcome,) = system.outcomes()
    assert outcome.get_data() == api.get(f"{RECORDS}/a").json()["data"]["record"]
    assert outcome.get_source() == f"/replog/{system.topic}"


def test_without_the_setting_nothing_is_published(system: System) -> None:
    collector = system.started(COLLECTOR, REPLOG_KAFKA_OUTCOMES_TOPIC="")
    publish(system, events_of("a"))
    assert wait_until(lambda: settled(collector) == 3, READABLE_TIMEOUT_S), collector.log
    assert collector.stop() == 0
    assert system.outcomes() == []


def of(receiver: WebhookReceiver, number: int, notifier: Process) -> list[str]:
    """The records that the first requests were about, once there are that many."""
    assert wait_until(lambda: len(receiver.received) >= number, READABLE_TIMEOUT_S), notifier.log
    return receiver.subjects


def test_outcomes_are_posted_to_a_receiver_that_fails_and_hangs(system: System, receiver: WebhookReceiver) -> None:
    """Each in its turn; and no more than what was selected."""
    collector = system.started(COLLECTOR)
    publish(system, events_of("a"), events_of("b", status="SUCCESS"), events_of("c", task="team-b/x"), events_of("d"))
    assert wait_until(lambda: published(collector) == 4, READABLE_TIMEOUT_S), collector.log
    receiver.answers = [(500, {}), (429, {"Retry-After": "2"})]
    options = ("--only", "FAILED", "--task", "team-a/", "--timeout", "2")
    notifier = system.notifier(receiver.url, *options, REPLOG_NOTIFY_SECRET="whsec_c2VjcmV0")
    notifier.start()
    posted = of(receiver, 4, notifier)
    assert (posted[0] == posted[1] == posted[2], {*posted}) == (True, {"a", "d"})
    waited_s = [line["delay_s"] for line in notifier.lines("backing_off")]
    assert (len(waited_s), waited_s[1]) == (2, 2.0)
    receiver.answering.clear()
    publish(system, events_of("e"))
    assert of(receiver, 6, notifier)[4:] == ["e", "e"]
    receiver.answering.set()
    assert wait_until(lambda: len(notifier.lines("recovered")) == 2, READABLE_TIMEOUT_S), notifier.log
    assert notifier.stop() == 0
    assert {one.event["partitionkey"] for one in receiver.received} == {"team-a/x"}
    assert all("webhook-signature" in {name.lower() for name in one.headers} for one in receiver.received)


def test_a_notifier_that_is_killed_goes_on_where_it_was(system: System, receiver: WebhookReceiver) -> None:
    """What it had posted and not committed is posted again; what it had committed is not."""
    collector = system.started(COLLECTOR)
    publish(system, *(events_of(f"r{number}") for number in range(30)))
    assert wait_until(lambda: published(collector) == 30, READABLE_TIMEOUT_S), collector.log
    notifier = system.notifier(receiver.url)
    notifier.start()
    of(receiver, 10, notifier)
    receiver.answering.clear()
    notifier.kill()
    receiver.answering.set()
    notifier.start()
    expected = {f"r{number}" for number in range(30)}
    assert wait_until(lambda: {*receiver.subjects} == expected, READABLE_TIMEOUT_S), notifier.log
    assert notifier.stop() == 0
    before = len(receiver.received)
    notifier.start()
    publish(system, events_of("last"))
    assert wait_until(lambda: "last" in receiver.subjects, READABLE_TIMEOUT_S), notifier.log
    assert receiver.subjects[before:] == ["last"]


def test_a_receiver_that_dies_gets_everything_when_it_is_back(system: System) -> None:
    collector = system.started(COLLECTOR)
    publish(system, *(events_of(f"r{number}") for number in range(5)))
    assert wait_until(lambda: published(collector) == 5, READABLE_TIMEOUT_S), collector.log
    with receiving() as dead:
        port = dead.port
    notifier = system.notifier(dead.url)
    notifier.start()
    assert wait_until(lambda: bool(notifier.lines("backing_off")), READABLE_TIMEOUT_S), notifier.log
    with receiving(port) as receiver:
        assert wait_until(lambda: len({*receiver.subjects}) == 5, READABLE_TIMEOUT_S), notifier.log
        assert notifier.stop() == 0


def test_a_strict_notifier_stops_at_what_is_refused_and_begins_with_it(
    system: System, receiver: WebhookReceiver
) -> None:
    collector = system.started(COLLECTOR)
    publish(system, events_of("a"))
    assert wait_until(lambda: published(collector) == 1, READABLE_TIMEOUT_S), collector.log
    receiver.answers = [(404, {})]
    strict = system.notifier(receiver.url, "--strict")
    strict.start()
    assert strict.wait() == 1
    assert "the webhook refuses outcome" in strict.log
    strict.start()
    assert of(receiver, 2, strict) == ["a", "a"]
    assert strict.stop() == 0


def test_a_notifier_stops_in_time_whatever_it_waits_for(system: System, receiver: WebhookReceiver) -> None:
    """A receiver that asks for an hour, and one that hangs."""
    collector = system.started(COLLECTOR)
    publish(system, events_of("a"))
    assert wait_until(lambda: published(collector) == 1, READABLE_TIMEOUT_S), collector.log
    receiver.answers = [(503, {"Retry-After": "3600"})]
    notifier = system.notifier(receiver.url, "--timeout", "300")
    for _ in range(2):
        before = len(receiver.received)
        notifier.start()
        of(receiver, before + 1, notifier)
        receiver.answering.clear()
        asked_s = time.monotonic()
        assert notifier.stop() == 0
        assert time.monotonic() - asked_s < 10
    receiver.answering.set()


#: So many tasks that each partition has outcomes of some.
TASKS = 20


def publish_to_all(system: System, name: str, *, attempt: int = 0) -> None:
    """Publish a run of each task, or another end of it."""
    publish(system, *(events_of(f"{name}-{i}", task=f"t{i}", attempt=attempt) for i in range(TASKS)))


def posted(receiver: WebhookReceiver, name: str) -> list[tuple[str, str]]:
    """The record and sequence of the outcomes of these runs that a receiver got, in order."""
    events = [one.event for one in receiver.received]
    return [(of["subject"], of["sequence"]) for of in events if of["subject"].startswith(f"{name}-")]


@pytest.mark.real_broker
def test_two_notifiers_of_a_group_share_the_outcomes(system: System) -> None:
    """Those of a record are posted by one of them, in order; once one is killed, the other posts all."""
    system.started(COLLECTOR)
    with receiving() as one, receiving() as two:
        first, second = (system.notifier(receiver.url) for receiver in (one, two))
        first.start()
        second.start()

        def all_posted(name: str, number: int = TASKS) -> bool:
            return len({*posted(one, name), *posted(two, name)}) >= number

        # Both have joined once both have posted some.
        for round_ in count():
            publish_to_all(system, f"round{round_}")
            assert wait_until(lambda: all_posted(f"round{round_}"), READABLE_TIMEOUT_S), first.log  # noqa: B023
            if one.received and two.received:
                break
            assert round_ < READABLE_TIMEOUT_S, second.log
        for attempt in range(3):
            publish_to_all(system, "shared", attempt=attempt)
            assert wait_until(lambda: all_posted("shared", TASKS * (attempt + 1)), READABLE_TIMEOUT_S)  # noqa: B023
        shares = posted(one, "shared"), posted(two, "shared")
        assert all(shares)
        assert not {record_id for record_id, _ in shares[0]} & {record_id for record_id, _ in shares[1]}
        for share in shares:
            for record_id in {record_id for record_id, _ in share}:
                sequences = [sequence for of, sequence in share if of == record_id]
                assert sequences == sorted({*sequences})
        first.kill()
        before = len(one.received)
        publish_to_all(system, "last")
        assert wait_until(lambda: len({*posted(two, "last")}) == TASKS, READABLE_TIMEOUT_S), second.log
        assert len(one.received) == before
        assert second.stop() == 0


@pytest.mark.parametrize(
    ("variables", "options", "named"),
    [
        ({"REPLOG_KAFKA_OUTCOMES_TOPIC": ""}, [], "REPLOG_KAFKA_OUTCOMES_TOPIC is not set"),
        ({"REPLOG_NOTIFY_SECRET": "whsec_?"}, [], "REPLOG_NOTIFY_SECRET=*** is wrong"),
        ({"REPLOG_NOTIFY_SECRET": "x", "REPLOG_NOTIFY_SECRET_FILE": "y"}, [], "are both set"),
        ({"REPLOG_KAFKA_GROUP_ID": "same"}, ["--group", "same"], "the collectors' group"),
    ],
)
def test_a_wrong_setting_ends_it_with_exit_code_2(
    system: System, variables: dict[str, str], options: list[str], named: str
) -> None:
    ended = subprocess.run(
        [*command(CLI), "notify", "--url", "http://localhost:1/", *options],
        env=environment(system.variables | variables),
        cwd=system.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert named in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
