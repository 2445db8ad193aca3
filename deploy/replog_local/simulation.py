"""Simulated replication workers: a stream of events that is a function of its seed.

:func:`simulate` yields events in the order in which workers would publish them. Runs of several tasks overlap, and
each run processes several details at a time. An attempt at a detail has one started, 2 to 4 progressed and one finished
event. Some attempts fail, most of these are repeated, and some details have a conflict. Some runs slow down as they
go on. Some runs stall: they publish no more events and never finish. Times are those of a virtual clock.
"""

from __future__ import annotations

import heapq
from itertools import count
from operator import attrgetter
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

from replog.events import (
    DetailFinished,
    DetailProgressed,
    DetailStarted,
    Progress,
    RecordFinished,
    RecordProgressed,
    RecordStarted,
    Tally,
)
from replog.times import TimeUs
from replog_local.catalogue import TASKS, DetailPlan, make_id, plan_detail

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from replog.events import DetailEvent, RecordEvent

    AnyEvent: TypeAlias = RecordEvent | DetailEvent
    _Heap: TypeAlias = list[tuple[int, int, AnyEvent, Iterator[AnyEvent]]]

_SECOND_US = 1_000_000
#: 2026-01-01T00:00:00Z, where the virtual clock starts by default.
EPOCH_US = 1_767_225_600 * _SECOND_US
#: Time between the starts of two runs, by default.
RUN_INTERVAL_US = 2 * _SECOND_US
#: Details that one run processes at a time.
LANES = 4
#: Minimum and maximum duration of one attempt at a detail.
ATTEMPT_US = (1 * _SECOND_US, 5 * _SECOND_US)
#: Share of the attempts that fail, and share of the failed first attempts that are repeated.
FAILED_PART = 0.06
RETRIED_PART = 0.7
#: One run in so many stalls, beginning with run number FIRST_STALL; a stalled run has so many events for each detail.
STALL_EVERY = 20
FIRST_STALL = 3
STALLED_EVENTS = 2
#: One run in so many slows down, beginning with run number FIRST_SLOW: each next detail of a lane takes longer by the
#: duration of the first, up to so many times.
SLOW_EVERY = 10
FIRST_SLOW = 6
SLOWEST = 4

#: Reasons of failures. Those of one kind differ in numbers and hashes, as real ones do.
_REASONS = (
    "connection to {cluster} timed out after {number} ms",
    "{cluster} answered 507 Insufficient Storage: {number} bytes are missing",
    "checksum of blob {hash} does not match",
    "package version is locked on the remote cluster",
)
_MOST_IN_REASON = 99_999


def simulate(
    seed: int,
    *,
    records: int | None,
    details_per_record: int,
    start_us: int = EPOCH_US,
    run_interval_us: int = RUN_INTERVAL_US,
) -> Iterator[AnyEvent]:
    """Generate the events of ``records`` runs (endless if None), each of ``details_per_record`` details.

    Times ascend from ``start_us`` (microseconds since 1970 UTC); a run starts each ``run_interval_us``. The same
    arguments give the same events, and run number n is the same in streams of any length. Only overlapping runs are in
    memory.
    """
    numbers = count() if records is None else range(records)
    starts = ((number, start_us + number * run_interval_us) for number in numbers)
    return _interleave(_Run(seed, number, details_per_record, run_start_us) for number, run_start_us in starts)


def stalls(number: int) -> bool:
    """True if run ``number`` of a stream, counted from 0, never finishes."""
    return number % STALL_EVERY == FIRST_STALL


def slows(number: int) -> bool:
    """True if run ``number`` of a stream, counted from 0, slows down."""
    return number % SLOW_EVERY == FIRST_SLOW


def _interleave(runs: Iterator[_Run]) -> Iterator[AnyEvent]:
    # A run's events are generated only from its start on, so that an endless stream needs little memory.
    heap: _Heap = []
    upcoming = next(runs, None)
    while heap or upcoming is not None:
        if upcoming is not None and (not heap or upcoming.start_us <= heap[0][0]):
            _push(heap, upcoming.number, upcoming.events())
            upcoming = next(runs, None)
        else:
            _, number, event, rest = heapq.heappop(heap)
            yield event
            _push(heap, number, rest)


def _push(heap: _Heap, number: int, events: Iterator[AnyEvent]) -> None:
    if (event := next(events, None)) is not None:
        heapq.heappush(heap, (event.event_us, number, event, events))


class _Run:
    """One record of the stream."""

    def __init__(self, seed: int, number: int, details: int, start_us: int) -> None:
        self.number = number
        self.start_us = start_us
        self._seed = f"{seed}/{number}"
        self._details = details
        self._task = TASKS[number % len(TASKS)]
        self._head: dict[str, Any] = {"record_id": make_id(Random(self._seed)), "task_key": self._task.key}  # noqa: S311 - no secrets
        self._failed = 0
        self._replicated_bytes = 0

    def events(self) -> Iterator[AnyEvent]:
        """Generate the run's events, ordered by time."""
        yield self._started()
        end_us, silent_after = self.start_us, self._details * STALLED_EVENTS
        lanes = [self._lane(lane) for lane in range(min(LANES, self._details))]
        for number, event in enumerate(heapq.merge(*lanes, key=attrgetter("event_us"))):
            if stalls(self.number) and number >= silent_after:
                return
            yield event
            end_us = event.event_us
        yield self._finished(end_us + _SECOND_US // 10)

    def _started(self) -> RecordStarted:
        return RecordStarted(
            **self._head,
            event_us=TimeUs(self.start_us),
            task_name=self._task.name,
            replica_type=self._task.replica_type,
            replica_object_type=self._task.object_type,
            # What is replicated as it is published has no number that is known beforehand.
            expected_details=None if self._task.replica_type == "REAL_TIME" else self._details,
        )

    def _progressed(self, at_us: int) -> RecordProgressed:
        return RecordProgressed(**self._head, event_us=TimeUs(at_us), replicated_bytes=self._replicated_bytes)

    def _finished(self, at_us: int) -> RecordFinished:
        reason = f"{self._failed} of {self._details} details failed" if self._failed else None
        return RecordFinished(
            **self._head,
            event_us=TimeUs(at_us),
            status="FAILED" if reason else "SUCCESS",
            error_reason=reason,
            replicated_bytes=self._replicated_bytes,
        )

    def _lane(self, lane: int) -> Iterator[AnyEvent]:
        """Generate the events of the details of one lane, one detail after another."""
        rng = Random(f"{self._seed}/{lane}")  # noqa: S311 - no secrets
        at_us = self.start_us + (lane + 1) * _SECOND_US // 10
        for position in range(len(range(lane, self._details, LANES))):
            slowness = min(position + 1, SLOWEST) if slows(self.number) else 1
            at_us = yield from self._detail(rng, at_us, slowness)
            if lane == 0:
                yield self._progressed(at_us)

    def _detail(self, rng: Random, at_us: int, slowness: int) -> Generator[AnyEvent, None, int]:
        plan = plan_detail(rng, self._task)
        at_us, succeeded = yield from self._attempt(rng, plan, 0, at_us, slowness)
        if not succeeded and rng.random() < RETRIED_PART:
            at_us, succeeded = yield from self._attempt(rng, plan, 1, at_us + _SECOND_US, slowness)
        self._failed += not succeeded
        self._replicated_bytes += plan.total_size if succeeded else 0
        return at_us

    def _attempt(
        self, rng: Random, plan: DetailPlan, attempt: int, start_us: int, slowness: int
    ) -> Generator[AnyEvent, None, tuple[int, bool]]:
        """Generate the events of one attempt. Returns its end, and True if it succeeded."""
        head: dict[str, Any] = {
            "record_id": self._head["record_id"],
            "detail_id": plan.detail_id,
            "attempt": attempt,
        }
        steps, duration_us = rng.randint(3, 5), rng.randint(*ATTEMPT_US) * slowness
        yield DetailStarted(**head, event_us=TimeUs(start_us), **plan.facts)
        for step in range(1, steps):
            at_us = start_us + duration_us * step // steps
            yield DetailProgressed(**head, event_us=TimeUs(at_us), progress=_progress(plan, step, steps))
        failed = rng.random() < FAILED_PART
        end_us = start_us + duration_us
        yield DetailFinished(
            **head,
            event_us=TimeUs(end_us),
            status="FAILED" if failed else "SUCCESS",
            error_reason=_reason(rng, plan) if failed else None,
            progress=_progress(plan, steps, steps, failed=int(failed)),
        )
        return end_us, not failed


def _reason(rng: Random, plan: DetailPlan) -> str:
    return rng.choice(_REASONS).format(
        cluster=plan.facts["remote_cluster"],
        number=rng.randint(1, _MOST_IN_REASON),
        hash=f"{rng.getrandbits(64):016x}",
    )


def _progress(plan: DetailPlan, step: int, steps: int, *, failed: int = 0) -> Progress:
    done = plan.blobs * step // steps - failed
    blob = Tally(total=plan.blobs, success=done, failed=failed)
    versions = len(plan.facts.get("versions", ()))
    handled = versions * step // steps - failed
    version = Tally(total=versions, success=handled, failed=failed) if versions else None
    return Progress(blob=blob, version=version, total_size=plan.total_size * step // steps)
