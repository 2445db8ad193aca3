"""The history of a record: what each event changed, and the record as it was answered at a time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from replog.store.write.offsets import Span
from replog_collector.kafka.source import Message, Unreadable
from replog_collector.topics.partitioning import partitions_of
from replog_repair.history.answers import answers
from replog_repair.history.folding import HistoryEntry, RecordFold
from replog_repair.history.searching import Search, ordered
from tests.support import streams
from tests.support.fakes import FakeMessage
from tests.support.model import Model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

AHEAD_S = 86_400.0
#: By when everything in the streams has happened.
LATE = datetime(2021, 5, 13, tzinfo=UTC)
LATE_MS = int(LATE.timestamp() * 1000)
STARTED = {"type": "record.started", "recordId": "r", "taskKey": "t", "eventTime": "2021-05-12T12:00:00Z"}
FINISHED = {
    "type": "detail.finished",
    "recordId": "r",
    "detailId": "d",
    "eventTime": "2021-05-12T12:00:05Z",
    "status": "FAILED",
    "errorReason": "no",
}


def message(
    event: Any, offset: int = 0, *, partition: int = 0, timestamp: int = LATE_MS, key: bytes = b"r"
) -> FakeMessage:
    value = event if isinstance(event, bytes) else json.dumps(event).encode()
    return FakeMessage(value, partition, offset, timestamp, key)


def folded(*events: Any) -> list[HistoryEntry]:
    fold = RecordFold(AHEAD_S)
    return [fold.add(message(event, number)) for number, event in enumerate(events)]


@pytest.mark.parametrize("seed", range(20))
def test_the_answers_are_those_of_the_oracle_at_every_time(seed: int) -> None:
    """Of a record with awkward details, after each prefix of its events."""
    random = Random(seed)
    events = streams.record_events(random, "r", ["b", "a", "c"]) + streams.awkward_details(random, "r", 4, at_once=2)
    fold, before = RecordFold(AHEAD_S), []
    assert answers("r", fold.folded, at_ms=LATE_MS, stale_after_s=900) is None
    for event in streams.shuffled(random, events):
        fold.add(message(event))
        before.append(event)
        model = Model(before, now=LATE, stale_after_s=900)
        found = answers("r", fold.folded, at_ms=LATE_MS, stale_after_s=900)
        assert found is not None
        own = any(one["type"].startswith("record.") for one in before)
        assert found.run == (model.run("r") if own else None)
        assert found.overview == model.overview("r")
        assert found.details == model.details("r")


@pytest.mark.parametrize("seed", range(20))
def test_an_event_is_applied_exactly_if_it_changes_a_field_or_an_order(seed: int) -> None:
    """What shows as changed was changed by it; and what comes again is no change."""
    random = Random(seed)
    events = streams.record_events(random, "r", ["t"]) + streams.awkward_details(random, "r", 4)
    fold = RecordFold(AHEAD_S)
    for event in streams.shuffled(random, events):
        entry = fold.add(message(event))
        assert entry.effect == "applied" or not entry.changes
        again = fold.add(message(event))
        assert again.effect in {"duplicate", "superseded"}
        assert not again.changes


def test_changes_have_the_names_of_answers_with_their_values_before_and_after() -> None:
    progressed = {
        **FINISHED,
        "type": "detail.progressed",
        "progress": {"blob": {"total": 3, "success": 1}, "totalSize": 7},
        "repoName": "npm",
    }
    first, second, third, fourth = folded(STARTED, progressed, FINISHED, FINISHED)
    assert first.changes["taskKey"] == (None, "t")
    assert first.changes["status"] == (None, "RUNNING")
    assert first.changes["startTime"] == (None, "2021-05-12T12:00:00.000000Z")
    assert set(first.changes) == {"taskKey", "status", "startTime", "lastEventTime"}
    assert (second.type, second.detail_id, second.effect) == ("detail.progressed", "d", "applied")
    blob = {"failed": 0, "skip": 0, "success": 1, "total": 3}
    expected = {"blob": blob, "node": None, "version": None, "totalSize": 7}
    assert second.changes["progress"][1] == expected
    assert second.changes["localRepoName"] == (None, "npm")
    assert third.changes == {
        "status": ("RUNNING", "FAILED"),
        "endTime": (None, "2021-05-12T12:00:05.000000Z"),
        "errorReason": (None, "no"),
    }
    assert (fourth.effect, fourth.changes) == ("duplicate", {})


def test_a_record_that_is_listed_under_one_more_task_is_changed() -> None:
    later = {**STARTED, "taskKey": "a", "eventTime": "2021-05-12T11:00:00Z", "type": "record.progressed"}
    _, entry = folded(STARTED, later)
    assert (entry.effect, entry.changes) == ("applied", {"taskKeys": (["t"], ["a", "t"])})


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (b"{", "not_json: value is not JSON"),
        (json.dumps({**FINISHED, "attempt": "1"}).encode(), "invalid_field: attempt is wrong"),
        (json.dumps({**FINISHED, "eventTime": "2021-05-14T00:00:01Z"}).encode(), "clock_ahead: eventTime is wrong"),
    ],
)
def test_an_invalid_event_is_shown_with_its_reason(value: bytes, error: str) -> None:
    fold = RecordFold(AHEAD_S)
    entry = fold.add(message(value))
    assert entry.effect == "invalid"
    assert entry.error.startswith(error)
    assert answers("r", fold.folded, at_ms=LATE_MS, stale_after_s=900) is None


def test_without_a_limit_no_event_is_too_far_ahead() -> None:
    assert RecordFold(0).add(message({**FINISHED, "eventTime": "9999-01-01T00:00:00Z"})).effect == "applied"


def test_a_record_is_stale_as_of_then() -> None:
    fold = RecordFold(AHEAD_S)
    fold.add(message(STARTED))
    start_ms = int(datetime(2021, 5, 12, 12, tzinfo=UTC).timestamp() * 1000)
    for seconds, stale in ((900, False), (901, True)):
        found = answers("r", fold.folded, at_ms=start_ms + seconds * 1000, stale_after_s=900)
        assert found is not None
        assert found.run is not None
        assert found.run["record"]["stale"] is stale


def test_partitions_are_put_together_by_time_and_each_keeps_its_order() -> None:
    a = [message(STARTED, offset, partition=0, timestamp=at) for offset, at in enumerate([10, 5, 30])]
    b = [message(STARTED, offset, partition=1, timestamp=at) for offset, at in enumerate([7, 20])]
    found = [(one.partition, one.offset) for one in ordered([*b, *a])]
    assert found == [(1, 0), (0, 0), (0, 1), (1, 1), (0, 2)]


class Reader:
    """A topic in memory, as far as a search reads it."""

    def __init__(
        self, count: int, messages: Sequence[Message | Unreadable], *, begins: Mapping[int, int] | None = None
    ) -> None:
        self.count = count
        self.messages = messages
        self.begins = begins or {}
        self.read_spans: list[dict[int, Span]] = []
        self.progress = self
        self.total = 0

    async def available(self) -> dict[int, Span]:
        return {number: Span(self.begins.get(number, 0), 100) for number in range(self.count)}

    async def since(self, time_ms: int) -> dict[int, Span]:
        late = dict.fromkeys(range(self.count), 100)
        for one in self.messages:
            if one.timestamp >= time_ms:
                late[one.partition] = min(late[one.partition], one.offset)
        return {number: Span(begin, 100) for number, begin in late.items()}

    async def read(self, spans: Mapping[int, Span]) -> AsyncIterator[list[Message | Unreadable]]:
        self.read_spans.append(dict(spans))
        for one in self.messages:
            if one.partition in spans and spans[one.partition].begin <= one.offset < spans[one.partition].end:
                yield [one]


LIKELY = partitions_of(b"r", 8)
ELSEWHERE = next(number for number in range(8) if number not in LIKELY)


async def found_by(reader: Reader, **options: Any) -> tuple[list[int], Any]:
    search = Search(reader, "r", progress=lambda _, __: None)  # type: ignore[arg-type] # it has what is used
    found = await search.run(**options)
    return [one.offset for one in found.messages], found


async def test_the_partition_of_the_key_is_read_and_no_other() -> None:
    """And there only what is of the record: by its value, or else by its key."""
    in_it: list[Message | Unreadable] = [
        message(STARTED, 1, partition=LIKELY[0], key=b"other"),
        message({**STARTED, "recordId": "s"}, 2, partition=LIKELY[0], key=b"r"),
        message(b"{", 3, partition=LIKELY[0]),
        message(b'{"recordId":"\\u0072"}', 4, partition=LIKELY[0], key=b"other"),
        FakeMessage(None, LIKELY[0], 5, LATE_MS, b"r"),
        Unreadable(LIKELY[0], 6, "no", last=8),
    ]
    reader = Reader(8, [*in_it, message(STARTED, 1, partition=ELSEWHERE)])
    offsets, found = await found_by(reader)
    assert offsets == [1, 3, 4]
    assert found.unreadable == 3
    assert [set(spans) for spans in reader.read_spans] == [set(LIKELY)]


async def test_if_it_is_not_there_all_are_read() -> None:
    reader = Reader(8, [message(STARTED, 1, partition=ELSEWHERE)])
    assert (await found_by(reader, since_ms=LATE_MS))[0] == [1]
    assert set().union(*reader.read_spans) == set(range(8))


async def test_all_partitions_are_read_on_request() -> None:
    reader = Reader(8, [message(STARTED, 1, partition=number) for number in (*LIKELY, ELSEWHERE)])
    assert (await found_by(reader, all_partitions=True, since_ms=LATE_MS))[0] == [1] * (len(LIKELY) + 1)


async def test_what_is_earlier_is_read_only_where_it_may_matter() -> None:
    early = message(STARTED, 1, partition=LIKELY[0], timestamp=5)
    late = message(STARTED, 2, partition=LIKELY[0], timestamp=50)
    retry = message({**STARTED, "attempt": 1}, 3, partition=LIKELY[0], timestamp=60)
    assert (await found_by(Reader(8, [early, late]), since_ms=40))[0] == [2]
    assert (await found_by(Reader(8, [early, late, retry]), since_ms=40))[0] == [1, 2, 3]
    assert (await found_by(Reader(8, [early]), since_ms=40))[0] == [1]


async def test_deleted_offsets_are_reported() -> None:
    reader = Reader(8, [message(STARTED, 60, partition=LIKELY[0])], begins={LIKELY[0]: 50, ELSEWHERE: 7})
    assert (await found_by(reader))[1].deleted == (LIKELY[0],)
