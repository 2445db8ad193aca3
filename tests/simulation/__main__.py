"""``make simulate``: runs the schedules of many seeds, and tells the story of the first that goes wrong, shortened.

It also tries the simulator itself: ``--reintroduced`` puts each known fault back, and says within how many seeds it is
found (``--write-table`` puts that into docs/reliability.md).
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from itertools import count
from typing import TYPE_CHECKING

from tests.simulation.found import PAGE, write_table
from tests.simulation.reintroduced import FAULTS
from tests.simulation.running import run, run_seed
from tests.simulation.schedule import MESSAGES, schedule_of
from tests.simulation.shortening import Shortening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.collector_process import CollectorParts
    from tests.simulation.world import Verdict

#: Seeds within which a fault that is put back has to be found, and messages of a schedule that looks for it.
MOST_SEEDS, SEARCH_MESSAGES = 1000, 150
#: Seconds between two lines about the progress.
TELL_S = 10.0


def main() -> int:
    """Run as the command line says; returns the exit code."""
    options = _options()
    if options.reintroduced or options.write_table:
        return _try_simulator(write=options.write_table)
    if options.seed is not None:
        return _tell(run_seed(options.seed, messages=options.messages), tell_all=True)
    return _run_many(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this seed alone, and tell its story")
    parser.add_argument("--first", type=int, default=0, help="the first seed of many")
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds")
    parser.add_argument("--for", dest="lasting_s", type=_seconds, help="go on for so long (90s, 10m, 1h) instead")
    parser.add_argument("--messages", type=int, default=MESSAGES, help="messages of one schedule")
    parser.add_argument("--reintroduced", action="store_true", help="put each known fault back, and find it")
    parser.add_argument("--write-table", action="store_true", help=f"the same, and write the table of {PAGE}")
    return parser.parse_args()


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)([smh])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text} is no duration: 90s, 10m or 1h")
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def _run_many(options: argparse.Namespace) -> int:
    begun_s = told_s = time.monotonic()
    done, virtual_s = 0, 0.0
    for seed in _seeds(options, begun_s):
        verdict = run_seed(seed, messages=options.messages)
        if verdict.wrong:
            _say(f"seed {seed}: {verdict.wrong}\nShortening the schedule")
            return _tell(Shortening(run).shorten(verdict))
        done, virtual_s = done + 1, virtual_s + verdict.virtual_s
        if time.monotonic() - told_s > TELL_S:
            told_s = time.monotonic()
            _say(f"{done} schedules, {done / (told_s - begun_s):.1f} a second")
    lasted_s = time.monotonic() - begun_s
    _say(
        f"{done} schedules of {options.messages} messages are well: {virtual_s / 3600:.1f} hours of collectors' time "
        f"in {lasted_s:.0f} s, {done / lasted_s:.1f} schedules a second"
    )
    return 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what the command is for


def _seeds(options: argparse.Namespace, begun_s: float) -> Iterator[int]:
    if options.lasting_s is None:
        yield from range(options.first, options.first + options.seeds)
        return
    for seed in count(options.first):
        if time.monotonic() - begun_s > options.lasting_s:
            return
        yield seed


def _tell(verdict: Verdict, *, tell_all: bool = False) -> int:
    if verdict.wrong or tell_all:
        _say(verdict.told())
    return 1 if verdict.wrong else 0


def _try_simulator(*, write: bool) -> int:
    seeds: dict[str, int | None] = {}
    for name, parts in FAULTS.items():
        found = _found(parts)
        seeds[name] = found.schedule.seed if found else None
        _say(f"{name}: {f'seed {found.schedule.seed}: {found.wrong}' if found else 'not found'}")
    if write:
        write_table(seeds)
    return int(None in seeds.values())


def _found(parts: type[CollectorParts]) -> Verdict | None:
    """The first verdict that something is wrong with these parts; None within :data:`MOST_SEEDS`."""
    verdicts = (run(schedule_of(seed, messages=SEARCH_MESSAGES), parts) for seed in range(MOST_SEEDS))
    return next((verdict for verdict in verdicts if verdict.wrong), None)


if __name__ == "__main__":
    sys.exit(main())
