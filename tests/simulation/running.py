"""Runs of schedules, as the command and the tests start them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.collector_process import CollectorParts
from tests.simulation.schedule import MESSAGES, schedule_of
from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule
    from tests.simulation.world import Verdict


def run(schedule: Schedule, parts: type[CollectorParts] = CollectorParts) -> Verdict:
    """Run one schedule, in a world of its own."""
    return World(schedule, parts).run()


def run_seed(seed: int, *, messages: int = MESSAGES) -> Verdict:
    """Run the schedule of a seed."""
    return run(schedule_of(seed, messages=messages))
