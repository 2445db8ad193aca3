"""A replay checks each letter, publishes the valid ones as they were, and says of the others why not."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from replog import letters
from replog.errors import BrokerUnavailable, MessageTooLargeError
from replog_collector.pipeline.clock_limit import AheadLimit
from replog_repair.dead_letters.checking import Check, Checked, Original, Verdict
from replog_repair.dead_letters.letter import DeadLetter, Place, letter_of
from replog_repair.dead_letters.publishing import CHUNK_MESSAGES, EventTopic, Pace
from replog_repair.dead_letters.replaying import replayed
from tests.support.fakes import FakeMessage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from replog_collector.kafka.source import Message

NOW_S = 1_620_821_961
EVENT = {"type": "record.started", "recordId": "r", "taskKey": "t", "eventTime": "2021-05-12T12:19:08.813Z"}
LETTER = letter_of(
    FakeMessage(
        json.dumps(EVENT).encode(),
        key=b"k",
        headers=[
            ("trace", b"1"),
            (letters.REASON, b"refused"),
            (letters.ERROR, b"WRONGTYPE"),
            (letters.TOPIC, b"events"),
            (letters.PARTITION, b"3"),
            (letters.OFFSET, b"1042"),
        ],
    )
)


def check(max_replays: int | None = 3) -> Check:
    return Check("events", AheadLimit(86400, clock=lambda: NOW_S), max_replays=max_replays)


def with_event(**fields: Any) -> DeadLetter:
    return replace(LETTER, value=json.dumps(EVENT | fields).encode())


class Topic:
    """The topic of events by offset, and what is published to it."""

    def __init__(self, *, refused: frozenset[bytes] = frozenset()) -> None:
        self.messages: dict[letters.Origin, Message] = {}
        self.published: list[Checked] = []
        self._refused = refused

    async def fetch(self, origin: letters.Origin) -> Message | None:
        return self.messages.get(origin)

    async def publish(self, events: Sequence[Checked]) -> list[Checked]:
        self.published += events
        return [event for event in events if event.original and event.original.key in self._refused]


async def outcome(topic: Topic, *given: DeadLetter, dry: bool = False, max_replays: int | None = 3) -> list[Checked]:
    """What becomes of letters."""

    async def source() -> AsyncIterator[list[DeadLetter]]:
        yield list(given)

    found = replayed(source(), check(max_replays), topic, None if dry else topic)
    return [one async for some in found for one in some]


async def test_a_valid_event_is_published_as_it_was_with_the_number_of_its_replays() -> None:
    topic = Topic()
    (one,) = await outcome(topic, replace(LETTER, replays=1))
    assert one.verdict is Verdict.VALID
    assert topic.published == [one]
    assert one.original == Original(b"k", LETTER.value, (("trace", b"1"),))
    assert one.headers == (("trace", b"1"), ("replog.replays", b"2"))


async def test_a_dry_run_publishes_nothing() -> None:
    topic = Topic()
    (one,) = await outcome(topic, LETTER, dry=True)
    assert (one.verdict, topic.published) == (Verdict.VALID, [])


@pytest.mark.parametrize(
    ("letter", "verdict", "reason", "error"),
    [
        (with_event(attempt="2"), Verdict.INVALID, "invalid_field", "attempt is wrong"),
        (with_event(type="record.paused"), Verdict.INVALID, "unknown_type", "type is unknown: 'record.paused'"),
        (with_event(eventTime="2021-05-13T12:19:22Z"), Verdict.INVALID, "clock_ahead", "eventTime is wrong"),
        (with_event(eventTime="2021-05-13T12:19:21Z"), Verdict.VALID, "", ""),
        (replace(LETTER, value=b""), Verdict.INVALID, "not_json", "value is not JSON"),
        (
            replace(LETTER, value=b"", key=None, reason="unreadable", error="offsets 7 to 9: no"),
            Verdict.INVALID,
            "unreadable",
            "offsets 7 to 9: no",
        ),
        (replace(LETTER, replays=3), Verdict.EXHAUSTED, "", "published again 3 times"),
        (replace(LETTER, origin=None), Verdict.FOREIGN, "", "does not say which event"),
        (replace(LETTER, origin=letters.Origin("others", 0, 0)), Verdict.FOREIGN, "", "of the topic others"),
    ],
)
async def test_what_is_left_is_said(letter: DeadLetter, verdict: Verdict, reason: str, error: str) -> None:
    topic = Topic()
    (one,) = await outcome(topic, letter)
    assert (one.verdict, one.reason) == (verdict, reason)
    assert error in one.error
    assert len(topic.published) == (verdict is Verdict.VALID)


async def test_without_a_limit_replays_do_not_matter() -> None:
    (one,) = await outcome(Topic(), replace(LETTER, replays=99), max_replays=None)
    assert one.verdict is Verdict.VALID


async def test_one_letter_that_is_too_large_for_the_topic_does_not_hold_up_the_others() -> None:
    topic = Topic(refused=frozenset({b"large"}))
    places = [replace(LETTER, place=Place(0, number)) for number in range(3)]
    places[1] = replace(places[1], key=b"large")
    verdicts = [one.verdict for one in await outcome(topic, *places)]
    assert verdicts == [Verdict.VALID, Verdict.TOO_LARGE, Verdict.VALID]


WHOLE = FakeMessage(
    json.dumps(EVENT | {"unknown": "x" * 100}).encode(),
    partition=3,
    offset=1042,
    key=b"key" * 10,
    headers=[("trace", b"1"), ("large", b"2" * 100), (letters.REPLAYS, b"1")],
)
CUT = replace(
    LETTER,
    key=b"keyk",
    value=(WHOLE.value or b"")[:20],
    headers=(),
    cut={
        "value": {"bytes": len(WHOLE.value or b""), "kept": 20},
        "key": {"bytes": 30, "kept": 4},
        "headers": {"bytes": 200, "kept": 0},
    },
)


async def test_the_original_of_a_cut_letter_is_published() -> None:
    topic = Topic()
    topic.messages[letters.Origin("events", 3, 1042)] = WHOLE
    (one,) = await outcome(topic, CUT)
    assert one.verdict is Verdict.VALID
    assert one.original == Original(WHOLE.key, WHOLE.value, (("trace", b"1"), ("large", b"2" * 100)))
    assert one.headers[-1] == (letters.REPLAYS, b"1")


@pytest.mark.parametrize(
    "other",
    [
        None,
        replace(WHOLE, value=b"y" + (WHOLE.value or b"")[1:]),
        replace(WHOLE, value=(WHOLE.value or b"") + b" "),
        replace(WHOLE, key=b"keyk"),
        replace(WHOLE, value=None),
    ],
    ids=["nothing", "another value", "another size", "another key", "a tombstone"],
)
async def test_a_cut_letter_without_its_original_is_left(other: FakeMessage | None) -> None:
    """Also where another message has its place, as after the topic was made anew."""
    topic = Topic()
    if other is not None:
        topic.messages[letters.Origin("events", 3, 1042)] = other
    (one,) = await outcome(topic, CUT)
    assert (one.verdict, topic.published) == (Verdict.GONE, [])
    assert "it was cut" in one.error


async def test_an_event_that_lost_headers_alone_needs_no_original() -> None:
    (one,) = await outcome(Topic(), replace(LETTER, cut={"headers": {"bytes": 9, "kept": 0}}))
    assert one.verdict is Verdict.VALID


class Broker:
    """A topic that takes messages of ``most`` bytes; a producer of it fails for good once one was refused."""

    topic = "events"

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self.taken: list[tuple[bytes | None, bytes | None, Any]] = []
        self.started = self.stopped = 0
        self.silent = False
        self._broken = False

    def producer(self) -> Broker:
        self._broken = False
        return self

    async def start(self) -> None:
        self.started += 1

    async def stop(self) -> None:
        self.stopped += 1

    async def abort(self) -> None:
        self.stopped += 1

    async def send(
        self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] = ()
    ) -> asyncio.Future[Any]:
        answer = asyncio.get_running_loop().create_future()
        if self._broken:
            answer.set_exception(BrokerUnavailable("failed with another"))
        elif len(value or b"") > self.most:
            self._broken = True
            answer.set_exception(MessageTooLargeError("refused"))
        elif not self.silent:
            self.taken.append((key, value, headers))
            answer.set_result(None)
        return answer

    async def acknowledged(self, acknowledgement: asyncio.Future[Any]) -> None:
        await acknowledgement


def events(*values: bytes) -> list[Checked]:
    return [Checked(LETTER, Verdict.VALID, original=Original(b"k", value, ())) for value in values]


async def test_events_are_published_with_key_and_headers() -> None:
    broker = Broker()
    async with EventTopic(broker.producer, Pace(0)) as topic:
        assert await topic.publish(events(b"a", b"b")) == []
    assert broker.taken == [(b"k", value, ((letters.REPLAYS, b"1"),)) for value in (b"a", b"b")]
    assert (broker.started, broker.stopped) == (1, 1)


async def test_of_those_sent_together_only_the_one_that_is_too_large_is_refused() -> None:
    broker = Broker(most=10)
    async with EventTopic(broker.producer, Pace(0)) as topic:
        refused = await topic.publish(events(b"a", b"x" * 11, b"b", b"y" * 12))
    assert [event.original and event.original.value for event in refused] == [b"x" * 11, b"y" * 12]
    assert {value for _, value, _ in broker.taken} == {b"a", b"b"}
    assert broker.started == broker.stopped


async def test_a_broker_that_acknowledges_nothing_is_given_up() -> None:
    broker = Broker()
    broker.silent = True
    with pytest.raises(BrokerUnavailable, match=r"acknowledged nothing in 0\.01 s"):
        async with EventTopic(broker.producer, Pace(0), timeout_s=0.01) as topic:
            await topic.publish(events(b"a"))
    assert broker.stopped == 1


class Clock:
    """Time that passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.mark.parametrize("per_s", [0.5, 3, 100, 20_000])
async def test_no_more_are_sent_than_the_rate_allows(per_s: float) -> None:
    clock, sent = Clock(), 0
    pace = Pace(per_s, clock=clock, sleep=clock.sleep)
    for _ in range(50):
        await pace.wait_for(pace.chunk_messages)
        sent += pace.chunk_messages
        assert sent - pace.chunk_messages <= per_s * (clock() - 100.0) + 1e-6
    assert clock() - 100.0 == pytest.approx((sent - pace.chunk_messages) / per_s)


async def test_without_a_rate_nothing_waits() -> None:
    clock = Clock()
    pace = Pace(0, clock=clock, sleep=clock.sleep)
    await pace.wait_for(1000)
    await pace.wait_for(1000)
    assert (clock(), pace.chunk_messages) == (100.0, CHUNK_MESSAGES)
