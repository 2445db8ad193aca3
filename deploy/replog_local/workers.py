"""The demo's workers: a process that publishes simulated runs in real time, until SIGTERM.

Each event carries the time at which it is published. There are about 35 events a second.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from replog import Publisher
from replog.errors import BrokerUnavailable, SettingsError
from replog.times import TimeUs
from replog_local.simulation import simulate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replog_local.simulation import AnyEvent

#: Details of each run. Together with the pace of the simulation, this sets the rate of events.
DETAILS_PER_RECORD = 12
_SECOND_US = 1_000_000


async def play(events: Iterable[AnyEvent], publisher: Publisher) -> None:
    """Publish ``events`` at the pace of their own times, each with the time at which it is published."""
    previous_us: int | None = None
    for event in events:
        if previous_us is not None:
            await asyncio.sleep((event.event_us - previous_us) / _SECOND_US)
        previous_us = event.event_us
        await publisher.publish(replace(event, event_us=TimeUs(_now_us())))


async def work(seed: int) -> None:
    """Publish the endless stream of ``seed`` until SIGTERM or SIGINT."""
    events = simulate(seed, records=None, details_per_record=DETAILS_PER_RECORD)
    async with Publisher() as publisher:
        playing = asyncio.create_task(play(events, publisher))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, playing.cancel)
        await asyncio.wait([playing])
        if not playing.cancelled():
            playing.result()


def main() -> None:
    """Run the workers; exit code 0 on SIGTERM, 1 if the broker is gone, 2 for a wrong setting."""
    try:
        # A new seed gives new ids, so that a demo on the same data does not repeat earlier ones.
        asyncio.run(work(seed=_now_us()))
    except BrokerUnavailable as error:
        sys.exit(f"simulated workers stopped: {error}")
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - logging is not configured here
        sys.exit(2)


def _now_us() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    main()
