"""The stop of the simulated workers: what they were doing is finished as FAILED, and stalled runs are left alone."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from msgspec.structs import replace

from replog.events import DetailEvent, DetailFinished, RecordFinished, RecordStarted, encode, parse
from replog.times import TimeUs
from replog_local.simulation import simulate, stalls
from replog_local.workers import (
    EARLIER_RUNS,
    RUN_INTERVAL_US,
    STALLED_AFTER_US,
    STOPPED,
    OpenWork,
    endless,
)

if TYPE_CHECKING:
    from replog_local.simulation import AnyEvent

RECORDS, DETAILS = 8, 12


def played(number: int) -> tuple[list[AnyEvent], OpenWork]:
    """The first events of a stream, and what is open after them."""
    events, work = list(simulate(7, records=RECORDS, details_per_record=DETAILS))[:number], OpenWork()
    for event in events:
        work.note(event)
    return events, work


def open_after(events: list[AnyEvent]) -> set[tuple[str, str | None]]:
    """What was started and has no finished event of its last attempt, by brute force."""
    last: dict[tuple[str, str | None], AnyEvent] = {}
    for event in events:
        detail_id = event.detail_id if isinstance(event, DetailEvent) else None
        last[event.record_id, detail_id] = event
    return {key for key, event in last.items() if not isinstance(event, DetailFinished | RecordFinished)}


def test_what_is_open_is_finished_as_failed() -> None:
    """Each record and detail once, details before their records, with the attempt that was open."""
    for number in (1, 2, 50, 200):
        events, work = played(number)
        now_us = work.played_to_us
        assert now_us == events[-1].event_us
        ends = list(work.stopped(now_us))
        keys = [(end.record_id, end.detail_id if isinstance(end, DetailEvent) else None) for end in ends]
        assert len(keys) == len(set(keys))
        assert set(keys) == open_after(events)
        assert sorted(keys, key=lambda key: key[1] is None) == keys
        assert {(end.status, end.error_reason, end.event_us) for end in ends} == {("FAILED", STOPPED, now_us)}  # type: ignore[union-attr]
        assert all(encode(parse(encode(end))) == encode(end) for end in ends)


def test_nothing_is_open_at_the_end_but_what_stalled() -> None:
    """A stalled run has no worker any more that could finish it."""
    events, work = played(10**6)
    stalled = [number for number in range(RECORDS) if stalls(number)]
    assert len({record_id for record_id, _ in open_after(events)}) == len(stalled) > 0
    later = replace(events[-1], event_us=TimeUs(events[-1].event_us + STALLED_AFTER_US))
    assert list(work.stopped(later.event_us)) == []


#: The page calls a run silent after so long.
SILENT_AFTER_US = 900 * 1_000_000
NOW_US = 1_800_000_000 * 1_000_000


def test_the_demo_has_a_past() -> None:
    """With trends of every task, and runs that have been silent for long; no task's last run is one of these."""
    past = list(takewhile(lambda event: event.event_us <= NOW_US, endless(7, NOW_US)))
    started = [event for event in past if isinstance(event, RecordStarted)]
    finished = {event.record_id: event for event in past if isinstance(event, RecordFinished)}
    assert started[0].event_us == NOW_US - EARLIER_RUNS * RUN_INTERVAL_US
    last = {event.task_key: event for event in started}
    assert min(sum(event.task_key == key for event in started) for key in last) > 20
    assert {getattr(finished.get(event.record_id), "status", "RUNNING") for event in last.values()} >= {
        "RUNNING",
        "SUCCESS",
    }
    active_us: dict[str, int] = {}
    for event in past:
        active_us[event.record_id] = event.event_us
    silent = [one for one, at_us in active_us.items() if one not in finished and at_us < NOW_US - SILENT_AFTER_US]
    assert silent
    assert not {event.record_id for event in last.values()} & set(silent)


def test_no_run_stalls_for_a_while() -> None:
    """Else a demo that is stopped soon would leave a task's last run RUNNING."""
    soon = range(EARLIER_RUNS - 7, EARLIER_RUNS + 9)
    assert not [number for number in soon if stalls(number)]
