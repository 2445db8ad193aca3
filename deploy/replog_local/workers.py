"""The demo's workers: a process that publishes simulated runs, until SIGTERM.

The runs of the last 26 minutes are published at once, so that there are trends, and runs that have been silent for
long. Later ones are published in real time, about 20 events a second. At SIGTERM the workers finish what they were
doing as FAILED, as a publisher's blocks do when they are left by an exception.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from replog import Publisher
from replog.cancellation import cancel_and_wait
from replog.errors import BrokerUnavailable, SettingsError
from replog.events import DetailFinished, DetailStarted, RecordFinished, RecordStarted
from replog.times import TimeUs
from replog_local.simulation import simulate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from replog_local.simulation import AnyEvent

#: The reason of what the stop cuts off.
STOPPED = "stopped"
#: A run without an event for so long has stalled: nobody works on it, so nobody finishes it at the stop. The longest
#: pause within a run that goes on is shorter.
STALLED_AFTER_US = 25 * 1_000_000
#: Details of each run, and time between the starts of two. Together they set the rate of events. Each task rests for
#: a while between two runs, so that some have failed, some run and some have succeeded.
DETAILS_PER_RECORD = 20
RUN_INTERVAL_US = 5 * 1_000_000
#: Runs before the start of the workers. The last of them that stalls is followed by another of its task, and the next
#: one that stalls is 45 s away: what is stopped sooner leaves no task's last run RUNNING.
EARLIER_RUNS = 314
#: Seconds in which the simulation ends once it is cancelled.
CANCEL_S = 2.0
_SECOND_US = 1_000_000


class OpenWork:
    """Records and details that were started and not finished yet."""

    def __init__(self) -> None:
        self._records: dict[str, RecordStarted] = {}
        self._details: dict[tuple[str, str], DetailStarted] = {}
        self._active_us: dict[str, int] = {}
        #: Time of the last event: now, or earlier while the runs before the start are being published.
        self.played_to_us = 0

    def note(self, event: AnyEvent) -> None:
        """Take an event into account, which is published next."""
        self._active_us[event.record_id] = self.played_to_us = event.event_us
        match event:
            case RecordStarted():
                self._records[event.record_id] = event
            case RecordFinished():
                self._records.pop(event.record_id, None)
                self._active_us.pop(event.record_id)
            case DetailStarted():
                self._details[event.record_id, event.detail_id] = event
            case DetailFinished():
                self._details.pop((event.record_id, event.detail_id), None)

    def stopped(self, now_us: int) -> Iterator[AnyEvent]:
        """Finish as FAILED, at ``now_us``, what is open in the runs that have not stalled; details before records."""
        active = {one for one, at_us in self._active_us.items() if at_us > now_us - STALLED_AFTER_US}
        end: dict[str, Any] = {"event_us": TimeUs(now_us), "status": "FAILED", "error_reason": STOPPED}
        for detail in self._details.values():
            if detail.record_id in active:
                head: dict[str, Any] = {"record_id": detail.record_id, "detail_id": detail.detail_id}
                yield DetailFinished(**head, attempt=detail.attempt, **end)
        for record in self._records.values():
            if record.record_id in active:
                head = {"record_id": record.record_id, "task_key": record.task_key}
                yield RecordFinished(**head, attempt=record.attempt, **end)


async def play(events: Iterable[AnyEvent], publisher: Publisher, work: OpenWork) -> None:
    """Publish each of ``events`` at its own time, and at once what is of the past."""
    for event in events:
        ahead_us = event.event_us - _now_us()
        if ahead_us > 0:
            await asyncio.sleep(ahead_us / _SECOND_US)
        work.note(event)
        await publisher.publish(event)


def endless(seed: int, now_us: int) -> Iterator[AnyEvent]:
    """The stream of ``seed``, of which :data:`EARLIER_RUNS` runs have started before ``now_us``."""
    return simulate(
        seed,
        records=None,
        details_per_record=DETAILS_PER_RECORD,
        start_us=now_us - EARLIER_RUNS * RUN_INTERVAL_US,
        run_interval_us=RUN_INTERVAL_US,
    )


async def run(seed: int) -> None:
    """Publish the endless stream of ``seed`` until SIGTERM or SIGINT, and then finish what is open."""
    events, work = endless(seed, _now_us()), OpenWork()
    async with Publisher() as publisher:
        playing = asyncio.create_task(play(events, publisher, work), name="simulated workers")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, playing.cancel)
        try:
            await asyncio.wait([playing])
        finally:
            await cancel_and_wait([playing], timeout_s=CANCEL_S)
        if playing.done() and not playing.cancelled():
            playing.result()
        for event in work.stopped(work.played_to_us):
            await publisher.publish(event)


def main() -> None:
    """Run the workers; exit code 0 on SIGTERM, 1 if the broker is gone, 2 for a wrong setting."""
    try:
        # A new seed gives new ids, so that a demo on the same data does not repeat earlier ones.
        asyncio.run(run(seed=_now_us()))
    except BrokerUnavailable as error:
        sys.exit(f"simulated workers stopped: {error}")
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - logging is not configured here
        sys.exit(2)


def _now_us() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    main()
