"""The simulated stream: a function of its arguments, made of valid events, shaped like real work."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import pytest

from replog.events import (
    DetailEvent,
    DetailFinished,
    DetailProgressed,
    DetailStarted,
    RecordFinished,
    RecordStarted,
    encode,
    parse,
)
from replog_local.catalogue import TASKS
from replog_local.simulation import EPOCH_US, simulate, slows, stalls

if TYPE_CHECKING:
    from replog_local.simulation import AnyEvent

RECORDS = 40
DETAILS = 12


@pytest.fixture(scope="module")
def stream() -> list[AnyEvent]:
    """A stream that is long enough to hold everything that may happen."""
    return list(simulate(7, records=RECORDS, details_per_record=DETAILS))


def test_the_same_arguments_give_the_same_events(stream: list[AnyEvent]) -> None:
    """To the byte."""
    again = simulate(7, records=RECORDS, details_per_record=DETAILS)
    assert [encode(event) for event in again] == [encode(event) for event in stream]


def test_another_seed_gives_other_records(stream: list[AnyEvent]) -> None:
    """No id occurs in both."""
    other = simulate(8, records=RECORDS, details_per_record=DETAILS)
    assert not {event.record_id for event in other} & {event.record_id for event in stream}


def test_an_endless_stream_begins_like_a_long_one(stream: list[AnyEvent]) -> None:
    """The number of records decides the end alone."""
    endless = simulate(7, records=None, details_per_record=DETAILS)
    assert list(islice(endless, 500)) == stream[:500]


def test_every_event_keeps_the_contract(stream: list[AnyEvent]) -> None:
    """The models are built unchecked, so the check is here."""
    assert all(encode(parse(encode(event))) == encode(event) for event in stream)


def test_times_ascend_from_the_start(stream: list[AnyEvent]) -> None:
    """Publish order is the order of the clock."""
    assert stream[0].event_us == EPOCH_US
    assert all(earlier.event_us <= later.event_us for earlier, later in pairwise(stream))


def test_runs_and_their_details_overlap(stream: list[AnyEvent]) -> None:
    """Neighbours in the stream mostly belong to different details."""
    details = [event for event in stream if isinstance(event, DetailEvent)]
    changes = sum(earlier.detail_id != later.detail_id for earlier, later in pairwise(details))
    assert changes > len(details) * 0.8


def test_the_first_run_belongs_to_the_first_task(stream: list[AnyEvent]) -> None:
    """The demo's first command relies on it."""
    started = [event for event in stream if isinstance(event, RecordStarted)]
    assert [event.task_key for event in started[: len(TASKS)]] == [task.key for task in TASKS]
    assert started[0].task_key == "npm-nightly"


def test_each_run_that_does_not_stall_has_all_its_details(stream: list[AnyEvent]) -> None:
    """A stalled run falls silent with details open; every other one finishes after its last detail."""
    started = [event.record_id for event in stream if isinstance(event, RecordStarted)]
    finished = {event.record_id for event in stream if isinstance(event, RecordFinished)}
    assert len(started) == RECORDS
    assert [number for number, record_id in enumerate(started) if record_id not in finished] == [
        number for number in range(RECORDS) if stalls(number)
    ]
    details = defaultdict(set)
    for event in stream:
        if isinstance(event, DetailFinished):
            details[event.record_id].add(event.detail_id)
    assert {len(details[record_id]) for record_id in finished} == {DETAILS}


def test_each_finished_attempt_has_its_started_and_progressed_events(stream: list[AnyEvent]) -> None:
    """One started, 2 to 4 progressed, one finished."""
    counts: defaultdict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for event in stream:
        if isinstance(event, DetailEvent):
            counts[event.detail_id, event.attempt][event.type] += 1
    finished = [count for count in counts.values() if count["detail.finished"]]
    assert {(count["detail.started"], count["detail.finished"]) for count in finished} == {(1, 1)}
    assert {count["detail.progressed"] for count in finished} == {2, 3, 4}


def test_failures_retries_conflicts_and_both_kinds_of_content_occur(stream: list[AnyEvent]) -> None:
    """What a dashboard has to show is in the stream."""
    outcomes = {(event.attempt, event.status) for event in stream if isinstance(event, DetailFinished)}
    assert outcomes >= {(0, "SUCCESS"), (0, "FAILED"), (1, "SUCCESS")}
    assert {event.status for event in stream if isinstance(event, RecordFinished)} == {"SUCCESS", "FAILED"}
    facts = [event for event in stream if isinstance(event, DetailStarted)]
    assert any(event.conflict_strategy for event in facts)
    assert any(event.package_key and event.versions for event in facts)
    assert any(event.path and event.artifact_name and event.size and event.sha256 for event in facts)


def test_progress_never_falls_and_never_passes_its_total(stream: list[AnyEvent]) -> None:
    """Counts are absolute."""
    sizes: dict[tuple[str, int], int] = {}
    for event in stream:
        if isinstance(event, DetailProgressed | DetailFinished) and event.progress is not None:
            blob, attempt = event.progress.blob, (event.detail_id, event.attempt)
            assert blob is not None
            assert blob.success + blob.failed <= blob.total
            assert event.progress.total_size >= sizes.get(attempt, 0)
            sizes[attempt] = event.progress.total_size


def test_a_run_that_slows_down_takes_longer_for_each_next_detail(stream: list[AnyEvent]) -> None:
    """In each lane; a usual run does not."""
    started = [event for event in stream if isinstance(event, RecordStarted)]
    ends = {event.record_id: event.event_us for event in stream if isinstance(event, RecordFinished)}
    took = [
        (slows(number), ends[event.record_id] - event.event_us)
        for number, event in enumerate(started)
        if event.record_id in ends
    ]
    slow, usual = ([us for is_slow, us in took if is_slow is wanted] for wanted in (True, False))
    assert len(slow) > 1
    assert min(slow) > sum(usual) / len(usual) * 1.3


def test_reasons_of_failures_differ_in_numbers_and_hashes(stream: list[AnyEvent]) -> None:
    """So that there is something to group."""
    reasons = {event.error_reason for event in stream if isinstance(event, DetailFinished) and event.error_reason}
    kinds = {re.sub(r"[0-9a-f]*[0-9][0-9a-f]*", "#", reason) for reason in reasons}
    assert len(reasons) > len(kinds) > 2


def test_there_are_several_teams_and_work_without_an_expected_number(stream: list[AnyEvent]) -> None:
    """By the prefixes of the keys; of what is replicated as it is published nobody knows how much will come."""
    started = [event for event in stream if isinstance(event, RecordStarted)]
    assert {event.task_key.partition("/")[0] for event in started if "/" in event.task_key} == {"team-a", "team-b"}
    for event in started:
        assert (event.expected_details is None) == (event.replica_type == "REAL_TIME")
