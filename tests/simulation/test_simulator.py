"""The simulator itself is tried: each fault that is put back is found, its schedule shortened, and its story told."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.simulation.found import documented_seeds
from tests.simulation.reintroduced import FAULTS
from tests.simulation.running import run
from tests.simulation.schedule import schedule_of
from tests.simulation.shortening import Shortening, fewest, kind_of

MESSAGES = 150
#: Within so many seeds each fault has to be found.
MOST_SEEDS = 1000
#: Not long before the seed that finds the one which is shortened.
FIRST_SEED = 88


def test_the_documentation_says_of_each_fault_within_how_many_seeds_it_is_found() -> None:
    assert [*documented_seeds()] == [*FAULTS]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_is_put_back_is_found(name: str) -> None:
    """By the seed that found it last, which takes the time of one, or else by the first that does now."""
    for seed in (documented_seeds()[name], *range(MOST_SEEDS)):
        if run(schedule_of(seed, messages=MESSAGES), FAULTS[name]).wrong:
            return
    pytest.fail(f"no seed below {MOST_SEEDS} finds it")


def test_a_failing_schedule_is_shortened_and_its_story_told() -> None:
    parts = FAULTS["note of calls dropped"]
    verdict = next(
        found
        for seed in range(FIRST_SEED, MOST_SEEDS)
        if (found := run(schedule_of(seed, messages=MESSAGES), parts)).wrong and len(found.schedule.faults) > 1
    )
    shortest = Shortening(lambda schedule: run(schedule, parts), most_runs=60).shorten(verdict)
    assert kind_of(shortest) == kind_of(verdict)
    assert len(shortest.schedule.faults) < len(verdict.schedule.faults)
    assert shortest.schedule.kept is not None
    assert len(shortest.schedule.kept) < MESSAGES
    again = run(shortest.schedule, parts)
    assert (again.wrong, str(again.story)) == (shortest.wrong, str(shortest.story))
    assert "a fault: Redis" in shortest.told()
    assert f"--seed {verdict.schedule.seed}" in shortest.told()


@pytest.mark.parametrize("needed", [needed for count in (0, 1, 2, 3) for needed in combinations(range(0, 9, 2), count)])
def test_the_fewest_are_exactly_those_that_are_needed(needed: tuple[int, ...]) -> None:
    assert [*fewest(range(9), lambda some: {*needed} <= {*some})] == [*needed]
