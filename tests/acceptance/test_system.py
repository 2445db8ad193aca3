"""The whole system as real processes: what was published is what is answered, whatever happens in between."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from replog.events import MAX_VALUE_BYTES
from tests.support import streams
from tests.support.model import Model
from tests.support.services.kafka_admin import PARTITIONS
from tests.support.services.process import free_port, wait_until
from tests.support.system import API, COLLECTOR, READABLE_TIMEOUT_S, Message, answers_what, message, share, system_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.services.kafka import Broker
    from tests.support.streams import Event
    from tests.support.system import Process, System

SEED = 2021
VALID = {"type": "record.started", "recordId": "bad", "taskKey": "bad", "eventTime": "2021-05-12T12:19:08.813Z"}
PLACE = ("replog.partition", "replog.offset")
TOMBSTONES = [Message(b"bad", None), Message(b"\xff", None)]


def wrong(**fields: Any) -> bytes:
    """A valid event made wrong."""
    return json.dumps(VALID | fields).encode()


def padded(value_bytes: int) -> bytes:
    """An event that would be valid if it were shorter."""
    short = wrong(note="")
    return short.replace(b'"note": ""', b'"note": "%b"' % (b"x" * (value_bytes - len(short))))


INVALID = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"[" * 100_000,
    wrong().replace(b"bad", b"\xff"),
    wrong(type="detail.started", detailId="d", versions=["1"] * 1001),
    wrong(note=float("nan")),
    wrong(type="record.paused"),
    wrong(type=None),
    wrong(recordId=1),
    wrong(recordId=""),
    wrong(recordId="x" * 129),
    wrong(taskKey="a\nb"),
    wrong(eventTime="2021-05-12T12:19:08.813"),
    wrong(eventTime=1620821948813),
    wrong(attempt=-1),
    wrong(attempt=True),
    wrong(expectedDetails=2**63),
    wrong(expectedDetails="1"),
    wrong(type="record.finished"),
    wrong(type="record.finished", status="RUNNING"),
    wrong(type="detail.started"),
    wrong(type="detail.progressed", detailId="d", progress={"blob": {"total": -1}}),
    padded(MAX_VALUE_BYTES + 1),
]
#: More than a dead letter can hold.
HUGE = padded(3 * MAX_VALUE_BYTES)


@dataclass(frozen=True)
class Fed:
    """A system to which a stream was published, all of it collected."""

    broker: Broker
    system: System
    collector: Process
    api: Process
    model: Model
    valid: list[Event]
    invalid: list[Message]


@pytest.fixture
def system(kafka: Broker, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of one test, nothing started."""
    with system_on(kafka, redis_url, tmp_path_factory.mktemp("system")) as made:
        yield made


@pytest.fixture(scope="module")
def fed(kafka: Broker, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fed]:
    """Valid events in any order, some twice, with invalid ones and tombstones among them; tests only read."""
    random = Random(SEED)
    valid = streams.awkward_stream(random)
    invalid = [Message(random.choice((b"bad", b"\xff", None)), value, headers(random)) for value in (*INVALID, HUGE)]
    messages = [*map(message, valid), *invalid, *TOMBSTONES]
    with system_on(kafka, redis_url, tmp_path_factory.mktemp("system")) as made:
        collector, api = made.started(COLLECTOR), made.started(API)
        taken = made.publish(random.sample(messages, len(messages)))
        published = len(taken) - len(TOMBSTONES)
        wait_until(lambda: collected(collector) >= published, READABLE_TIMEOUT_S)
        sent = [letter for letter in invalid if letter in taken]
        yield Fed(kafka, made, collector, api, oracle(valid), valid, sent)


def headers(random: Random) -> tuple[tuple[str, bytes], ...]:
    """What a message may carry already, the collector's own names included."""
    return random.choice(((), (("traceparent", b"00-x"), ("empty", b"")), (("replog.error", b"from before"),)))


def added(letter: Message) -> list[tuple[str, bytes]]:
    """The headers that the collector added, behind the message's own."""
    names = [f"replog.{name}" for name in ("reason", "error", "topic", "partition", "offset", "dead_at", "version")]
    if letter.headers[-1][0] == "replog.cut":
        names += ["replog.value_bytes", "replog.cut"]
    headers = list(letter.headers[-len(names) :])
    assert [name for name, _ in headers] == names
    return headers


def distinct_letters(fed: Fed) -> list[Message]:
    """The dead letters, without copies: a collector may send one again, as it was, at another time."""
    found: dict[tuple[tuple[str, bytes], ...], Message] = {}
    for letter in fed.system.dead_letters():
        place = tuple(header for header in added(letter) if header[0] in PLACE)
        assert timeless(found.setdefault(place, letter)) == timeless(letter)
    return list(found.values())


def timeless(letter: Message) -> Message:
    """The letter without the time at which it was published."""
    return letter._replace(headers=tuple(header for header in letter.headers if header[0] != "replog.dead_at"))


def kept(fed: Fed, letter: Message) -> Message:
    """What the dead-letter topic has to hold of an invalid message."""
    fits = letter.value != HUGE or fed.broker.kind == "embedded"
    return letter if fits else letter._replace(value=HUGE[: 512 * 1024])


def oracle(events: list[Event]) -> Model:
    """What has to be answered about ``events``, now."""
    return Model(events, now=datetime.now(UTC))


def collected(*collectors: Process) -> float:
    """The events that these processes have dealt with."""
    return sum(sum(collector.metrics("replog_events_total").values()) for collector in collectors)


def busy_stream(random: Random, *, records: int, details: int) -> list[Event]:
    """Records with many details, in any order."""
    events = [VALID | {"recordId": f"run-{number}", "taskKey": "busy"} for number in range(records)]
    for number in range(records):
        events += streams.awkward_details(random, f"run-{number}", details)
    return streams.shuffled(random, events)


def in_parts(events: list[Event], parts: int) -> list[list[Message]]:
    """The messages of ``events``, cut up."""
    messages = list(map(message, events))
    size = -(-len(messages) // parts)
    return [messages[start : start + size] for start in range(0, len(messages), size)]


class TestWhatWasPublished:
    """Is answered, counted, or dead-lettered."""

    def test_answers_are_the_oracle_s(self, fed: Fed) -> None:
        answers_what(fed.api, fed.model)

    def test_nothing_of_an_invalid_event_is_answered(self, fed: Fed) -> None:
        assert "bad" not in fed.model.record_ids
        for path in ("list/bad", "detail/list/bad"):
            assert fed.api.get(f"/replication/api/task/record/{path}").json()["data"] == []

    def test_every_event_is_accounted_for(self, fed: Fed) -> None:
        events = Counter[str]()
        for labels, number in fed.collector.metrics("replog_events_total").items():
            events[labels.split('result="')[1].split('"')[0]] += int(number)
        assert events["invalid"] == len(fed.invalid)
        assert events["applied"] + events["duplicate"] + events["superseded"] == len(fed.valid)
        assert events["duplicate"] > 0
        assert fed.collector.metrics("replog_tombstones_total") == {"": len(TOMBSTONES)}
        assert sum(fed.collector.metrics("replog_dead_letters_total").values()) == len(fed.invalid)
        assert fed.collector.metrics("replog_event_age_seconds_count") == {
            "": len(fed.valid) + len(fed.invalid) + len(TOMBSTONES)
        }

    def test_nothing_is_left_behind(self, fed: Fed) -> None:
        published = len(fed.valid) + len(fed.invalid) + len(TOMBSTONES)

        def position() -> float:
            return sum(fed.collector.metrics("replog_consumer_position").values())

        # Both are as of the last poll.
        assert wait_until(lambda: position() == published, READABLE_TIMEOUT_S)
        assert set(fed.collector.metrics("replog_consumer_lag").values()) == {0}

    def test_dead_letters_are_the_invalid_events(self, fed: Fed) -> None:
        own = [letter._replace(headers=letter.headers[: -len(added(letter))]) for letter in distinct_letters(fed)]
        assert Counter(own) == Counter(kept(fed, letter) for letter in fed.invalid)

    def test_dead_letters_say_why_and_where(self, fed: Fed) -> None:
        for letter in distinct_letters(fed):
            headers = dict(added(letter))
            assert headers["replog.error"]
            assert headers["replog.topic"] == fed.system.topic.encode()
            assert int(headers["replog.partition"]) in range(PARTITIONS)
            assert int(headers["replog.offset"]) in range(len(fed.valid) + len(fed.invalid))

    def test_a_dead_letter_that_was_cut_says_so(self, fed: Fed) -> None:
        letters = [dict(letter.headers) for letter in distinct_letters(fed)]
        cut = {"value": {"bytes": len(HUGE), "kept": 512 * 1024}}
        expected = sum(kept(fed, letter) != letter for letter in fed.invalid)
        assert [letter.get("replog.value_bytes") for letter in letters].count(b"%d" % len(HUGE)) == expected
        assert [json.loads(letter["replog.cut"]) for letter in letters if "replog.cut" in letter] == [cut] * expected

    @pytest.mark.parametrize("path", ["/livez", "/readyz"])
    def test_both_services_are_well(self, fed: Fed, path: str) -> None:
        assert (fed.collector.get(path).status_code, fed.api.get(path).status_code) == (200, 200)

    def test_workers_of_a_query_service_share_its_port_and_metrics(self, fed: Fed) -> None:
        api = fed.system.started(API, REPLOG_API_WORKERS="2")
        answers_what(api, fed.model)
        assert sum(api.metrics("replog_http_requests_total").values()) > len(fed.model.record_ids)
        assert api.stop() == 0

    def test_the_query_service_counts_its_requests(self, fed: Fed) -> None:
        name = "replog_http_requests_total"
        labels = 'route="/replication/api/task/record/list/{key}",status="200"'
        before = fed.api.metrics(name).get(labels, 0)
        fed.api.get("/replication/api/task/record/list/plain")
        assert fed.api.metrics(name)[labels] == before + 1


def test_what_was_stopped_or_killed_goes_on_where_it_was(system: System) -> None:
    """SIGTERM ends both services with exit code 0; a collector may be killed; nothing is lost."""
    events = busy_stream(Random(SEED), records=10, details=40)
    parts = in_parts(events, 4)
    collector, api = system.started(COLLECTOR), system.started(API)
    with published_meanwhile(system, parts[0]):
        assert wait_until(lambda: collected(collector) > 0, READABLE_TIMEOUT_S)
        assert (collector.stop(), api.stop()) == (0, 0)
    assert collector.lines("stopping")
    assert collector.lines("stopped")
    assert api.lines("stopped")

    system.publish(parts[1])
    collector.start()
    api.start()
    with published_meanwhile(system, parts[2]):
        assert wait_until(lambda: collected(collector) > 0, READABLE_TIMEOUT_S)
        collector.kill()
    system.publish(parts[3])
    collector.start()
    answers_what(api, oracle(events))


@pytest.mark.real_broker
def test_collectors_come_and_go_without_loss(system: System) -> None:
    """Two share a topic; one is stopped, another joins, one is killed, each while events come in."""
    events = busy_stream(Random(SEED), records=10, details=100)
    parts = in_parts(events, 4)
    one, two, three = (system.process(COLLECTOR) for _ in range(3))
    api = system.started(API)
    share(one, two)
    system.publish(parts[0])
    assert wait_until(lambda: collected(one) > 0 and collected(two) > 0, READABLE_TIMEOUT_S)

    with published_meanwhile(system, parts[1]):
        assert one.stop() == 0
    with published_meanwhile(system, parts[2]):
        share(two, three)
    with published_meanwhile(system, parts[3]):
        two.kill()
    answers_what(api, oracle(events))
    assert three.stop() == 0


@contextmanager
def published_meanwhile(system: System, *parts: list[Message]) -> Iterator[None]:
    """Publish while the block runs; all is published at its end."""
    with ThreadPoolExecutor(1) as executor:
        publishing = executor.submit(lambda: [system.publish(part) for part in parts])
        yield
        publishing.result()


def test_services_wait_for_what_they_depend_on(system: System) -> None:
    """They live, are not ready, and end in order all the same."""
    away = {
        "REPLOG_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
        "REPLOG_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
    }
    for module in (COLLECTOR, API):
        process = system.started(module, **away)
        assert (process.get("/livez").status_code, process.get("/readyz").status_code) == (200, 503)
        assert process.stop() == 0
