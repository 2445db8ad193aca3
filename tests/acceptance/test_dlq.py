"""``replog dlq`` as an operator uses it, over a real broker and Redis, with collectors beside it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.support import batches
from tests.support.dead_letters import bury, bury_messages, delete_events, dlq, ends, lines
from tests.support.fakes import FakeMessage
from tests.support.model import Model
from tests.support.scenario import stream
from tests.support.services.process import wait_until
from tests.support.services.redis import connected
from tests.support.system import (
    API,
    COLLECTOR,
    READABLE_TIMEOUT_S,
    Message,
    answers_what,
    environment,
    message,
    narrow,
    system_on,
)
from tests.support.terminal import command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.services.kafka import Broker
    from tests.support.streams import Event
    from tests.support.system import Process, System

pytestmark = pytest.mark.real_broker

VALID = {"type": "record.started", "recordId": "r", "taskKey": "t", "eventTime": "2021-05-12T12:19:08.813Z"}


@pytest.fixture
def system(kafka: Broker, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of one test, nothing started."""
    with system_on(kafka, redis_url, tmp_path_factory.mktemp("system")) as made:
        yield made


def model(events: list[Event]) -> Model:
    """The oracle, now."""
    return Model(events, now=datetime.now(UTC))


def event_ends(system: System) -> int:
    """Messages of the event topic."""
    return sum(ends(system, system.topic).values())


def settled(collector: Process) -> int:
    """The events that something became of."""
    return int(sum(collector.metrics("replog_events_total").values()))


def settle(collector: Process, count: int) -> None:
    """Wait until so many events are settled."""
    assert wait_until(lambda: settled(collector) >= count, READABLE_TIMEOUT_S), collector.log


def broken(system: System, redis_url: str, record_id: str) -> list[bytes]:
    """Overwrite the keys of a record, so that Redis refuses its events; returns the keys."""
    with connected(redis_url) as client:
        keys = list(client.scan_iter(match=f"{system.topic}*{record_id}*"))
        assert keys
        for key in keys:
            client.set(key, "no hash")
    return keys


def mended(redis_url: str, keys: list[bytes]) -> None:
    """Remove them again."""
    with connected(redis_url) as client:
        client.delete(*keys)


def test_everything_replayed_twice_and_killed_in_the_middle_changes_nothing_that_is_right(system: System) -> None:
    """Some events are in the store already, some are newer there, some are nowhere but among the dead letters."""
    events = stream(1, records=12, details=10)
    in_topic = events[::2]
    buried = events[1::2] + events[::4]
    collector, api = system.started(COLLECTOR), system.started(API)
    system.publish([message(event) for event in in_topic])
    bury(system, buried)
    bury_messages(
        system, [FakeMessage(b"{", key=b"bad", offset=number) for number in range(5)], reason="not_json", error="no"
    )
    before = event_ends(system)
    killed = subprocess.Popen(
        command("dlq", "replay", "--execute", "--rate", "50"),
        env=environment(system.variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert wait_until(lambda: event_ends(system) > before + 20, READABLE_TIMEOUT_S)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert event_ends(system) < before + len(buried)
    for _ in range(2):
        shown = dlq(system, "replay", "--execute", "--json")
        assert shown.returncode == 1, shown.stderr
        verdicts = [line["check"]["verdict"] for line in lines(shown)]
        assert sorted(verdicts) == ["invalid"] * 5 + ["valid"] * len(buried)
    settle(collector, event_ends(system))
    answers_what(api, model(events))


def test_two_replays_at_once_end_in_the_same(system: System) -> None:
    events = stream(2, records=5, details=5)
    collector, api = system.started(COLLECTOR), system.started(API)
    bury(system, events)
    both = [
        subprocess.Popen(command("dlq", "replay", "--execute"), env=environment(system.variables)) for _ in range(2)
    ]
    assert [one.wait(READABLE_TIMEOUT_S) for one in both] == [0, 0]
    assert event_ends(system) == 2 * len(events)
    settle(collector, event_ends(system))
    answers_what(api, model(events))


def test_refused_events_are_replayed_once_their_record_is_mended(system: System, redis_url: str) -> None:
    """Letters that were cut, too: their originals are fetched."""
    narrow(system.variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"], f"{system.topic}.dlq", 10_000)
    collector, api = system.started(COLLECTOR, REPLOG_DEAD_LETTER_SHARE="1"), system.started(API)
    first = VALID | {"type": "detail.started", "detailId": "d0"}
    system.publish([message(first)])
    settle(collector, 1)
    keys = broken(system, redis_url, "r")
    small = [VALID | {"type": "detail.started", "detailId": f"d{number}"} for number in range(1, 4)]
    large = VALID | {"type": "detail.started", "detailId": "large", "path": "p", "unknown": "x" * 500_000}
    padded = Message(b"r", json.dumps(large).encode(), (("h", b"1"),))
    system.publish([*map(message, small), padded])
    settle(collector, 5)
    listed = lines(dlq(system, "list", "--json", "--reason", "refused"))
    assert [line["recordId"] for line in listed] == ["r"] * 4
    (cut,) = [line for line in listed if line["cut"]]
    assert cut["detailId"] in {"large", None}
    assert dlq(system, "replay").returncode == 0
    assert event_ends(system) == 5
    mended(redis_url, keys)
    system.publish([message(first)])
    shown = dlq(system, "replay", "--execute")
    assert (shown.returncode, shown.stderr.splitlines()[-1]) == (0, "4 letters: 4 published")
    settle(collector, 10)
    facts = {name: text for name, text in large.items() if name != "unknown"}
    answers_what(api, model([first, *small, facts]))


def test_a_cut_letter_whose_original_is_gone_is_left(system: System) -> None:
    narrow(system.variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"], f"{system.topic}.dlq", 10_000)
    large = VALID | {"unknown": "x" * 500_000}
    system.publish([message(VALID), message(large)])
    number = next(number for number, end in ends(system, system.topic).items() if end)
    original = FakeMessage(json.dumps(large).encode(), partition=number, offset=1, key=b"r")
    elsewhere = FakeMessage(json.dumps(large).encode(), partition=number, offset=0, key=b"r")
    bury_messages(system, [original, elsewhere], reason="refused", error="WRONGTYPE")
    verdicts = {line["origin"]["offset"]: line["check"]["verdict"] for line in lines(dlq(system, "replay", "--json"))}
    assert verdicts == {0: "gone", 1: "valid"}
    delete_events(system, {number: 2})
    shown = dlq(system, "replay", "--execute")
    assert shown.returncode == 1
    assert "2 letters: 0 published, 2 cut, without an original" in shown.stderr
    assert event_ends(system) == 2


def test_what_is_still_invalid_is_named_with_its_field(system: System) -> None:
    collector = system.started(COLLECTOR, REPLOG_DEAD_LETTER_SHARE="1")
    wrong: list[Event] = [
        VALID | {"attempt": "no"},
        {**VALID, "taskKey": None},
        VALID | {"type": "record.paused", "recordId": "p"},
    ]
    system.publish([message(event) for event in wrong])
    settle(collector, 3)
    shown = dlq(system, "list")
    assert shown.returncode == 0, shown.stderr
    assert "attempt is wrong: Expected int, got str; found 'no'" in shown.stdout
    assert "type is unknown: 'record.paused'" in shown.stdout
    replayed = dlq(system, "replay", "--execute")
    assert replayed.returncode == 1
    listed = lines(dlq(system, "list", "--json"))
    assert len(listed) == 3
    for line in listed:
        said = f"{line['partition']}:{line['offset']} left: invalid: {line['reason']}: {line['error']}"
        assert said in replayed.stderr
    line = listed[0]
    place = f"{line['partition']}:{line['offset']}"
    (one,) = lines(dlq(system, "show", place, "--json"))
    assert one["check"] == {"verdict": "invalid", "reason": line["reason"], "error": line["error"]}
    assert dlq(system, "show", place, "--raw").stdout == one["value"]
    assert line["error"] in dlq(system, "show", place).stdout
    assert event_ends(system) == 3
    assert collector.stop() == 0


def test_letters_are_selected(system: System) -> None:
    events = [VALID | {"recordId": f"r{number}", "taskKey": f"t{number % 2}"} for number in range(10)]
    bury(system, events)
    bury(
        system,
        [VALID | {"type": "detail.started", "recordId": "r1", "detailId": "d"}],
        reason="clock_ahead",
        error="ü 7 s",
    )
    bury_messages(system, [FakeMessage(b"{", key=b"r1")], reason="not_json", error="value is not JSON")

    found = lines(dlq(system, "list", "--json", "--record", "r1", "--since", "1h", "--match", "value is"))
    assert [(line["reason"], line["recordId"], line["key"]) for line in found] == [("not_json", None, "r1")]
    found = lines(dlq(system, "list", "--json", "--type", "record.started", "--task", "t1", "--reason", "refused"))
    assert sorted(line["recordId"] for line in found) == ["r1", "r3", "r5", "r7", "r9"]
    assert lines(dlq(system, "list", "--json", "--until", "1h")) == []
    (summary,) = lines(dlq(system, "list", "--summary", "--json"))
    counts = {(group["reason"], group["type"]): group["letters"] for group in summary["groups"]}
    assert counts == {
        ("refused", "record.started"): 10,
        ("clock_ahead", "detail.started"): 1,
        ("not_json", None): 1,
    }
    shown = dlq(system, "list", "--summary")
    assert "refused" in shown.stdout
    assert "12 letters" in shown.stderr
    # A replay takes the same ones.
    places = {(line["partition"], line["offset"]) for line in lines(dlq(system, "list", "--json", "--limit", "4"))}
    taken = lines(dlq(system, "replay", "--json", "--limit", "4"))
    assert {(line["partition"], line["offset"]) for line in taken} == places


def test_unreadable_messages(system: System) -> None:
    """One of which the value can be read is published; a batch of which nothing can is left."""
    collector = system.started(COLLECTOR, REPLOG_MAX_BATCH_BYTES="1000000", REPLOG_DEAD_LETTER_SHARE="1")
    raw = batches.Raw(json.dumps(VALID).encode(), b"r", headers=[(b"r\xe9gion", b"eu")])
    for data in (batches.batch([raw], timestamp=int(time.time() * 1000)), batches.bomb(20_000_000)):
        batches.produce_sync(system.variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"], system.topic, 0, data)
    assert wait_until(lambda: len(lines(dlq(system, "list", "--json"))) == 2, READABLE_TIMEOUT_S), collector.log
    before = event_ends(system)
    shown = dlq(system, "replay", "--execute")
    assert shown.returncode == 1
    assert "2 letters: 1 published, 1 still invalid" in shown.stderr
    assert "left: invalid: unreadable: offsets 1 to 3: " in shown.stderr
    assert event_ends(system) == before + 1
    answers_what(system.started(API), model([VALID]))


def test_an_event_that_comes_back_again_and_again_is_left_in_the_end(system: System, redis_url: str) -> None:
    collector = system.started(COLLECTOR, REPLOG_DEAD_LETTER_SHARE="1")
    system.publish([message(VALID | {"type": "detail.started", "detailId": "d0"})])
    settle(collector, 1)
    broken(system, redis_url, "r")
    system.publish(
        [Message(b"r", json.dumps(VALID | {"type": "detail.started", "detailId": "d"}).encode(), (("trace", b"1"),))]
    )
    settle(collector, 2)
    for number in range(1, 3):
        newest = dlq(system, "replay", "--limit", "1", "--max-replays", "2", "--execute")
        assert newest.returncode == 0, newest.stderr
        settle(collector, 2 + number)
    (line,) = lines(dlq(system, "replay", "--limit", "1", "--max-replays", "2", "--json"))
    assert (line["replays"], line["check"]["verdict"]) == (2, "exhausted")
    (one,) = lines(dlq(system, "show", f"{line['partition']}:{line['offset']}", "--json"))
    assert one["headers"] == [{"name": "trace", "value": "1"}]
    assert one["check"]["verdict"] == "valid"


def test_purge_deletes_what_it_said(system: System) -> None:
    bury(system, [VALID | {"recordId": f"r{number}"} for number in range(30)])
    topic = f"{system.topic}.dlq"
    number, end = max(ends(system, topic).items(), key=lambda item: item[1])
    assert end > 2
    here = [line for line in lines(dlq(system, "list", "--json", "--limit", "100")) if line["partition"] == number]
    dry = dlq(system, "purge", "--before", f"{number}:2")
    assert dry.returncode == 0, dry.stderr
    assert "0 to 1" in dry.stdout
    assert "dry run" in dry.stderr
    assert len(lines(dlq(system, "list", "--json", "--limit", "100"))) == 30
    (done,) = lines(dlq(system, "purge", "--before", f"{number}:2", "--execute", "--json"))
    assert done["partitions"] == [
        {
            "partition": number,
            "begin": 0,
            "end": 2,
            "reasons": [{"reason": "refused", "type": "record.started", "letters": 2}],
            "firstLeft": 2,
        }
    ]
    left = [line for line in lines(dlq(system, "list", "--json", "--limit", "100")) if line["partition"] == number]
    assert sorted(line["offset"] for line in left) == sorted(line["offset"] for line in here)[2:]
    gone = dlq(system, "show", f"{number}:1")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert f"{topic} has no letter at {number}:1; partition {number} has those from 2 to before {end}" in gone.stderr
    beyond = dlq(system, "purge", "--before", f"{number}:{end + 1}", "--execute")
    assert beyond.returncode == 1
    assert f"{number}:{end + 1} is beyond that" in beyond.stderr
    assert "nothing" in dlq(system, "purge", "--before", f"{number}:1", "--execute").stdout


def test_wrong_options_and_missing_topics_are_said(system: System) -> None:
    for arguments, words in (
        (("show", "17"), "'17' is no place; allowed: a partition and an offset, as 0:42"),
        (("list", "--since", "yesterday"), "'yesterday' is no time; allowed: as 2021-05-12T12:19:08Z"),
        (("purge",), "--before"),
    ):
        shown = dlq(system, *arguments)
        assert shown.returncode == 2
        assert words in " ".join(shown.stderr.replace("│", " ").split())
    elsewhere = system.variables | {"REPLOG_KAFKA_DLQ_TOPIC": f"{system.topic}.missing"}
    shown = subprocess.run(
        command("dlq", "list"), env=environment(elsewhere), capture_output=True, text=True, check=False
    )
    assert shown.returncode == 1
    assert f"has no topic {system.topic}.missing, or does not show it to this user" in shown.stderr
