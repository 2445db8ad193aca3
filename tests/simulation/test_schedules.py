"""Every schedule ends well: nothing is lost, committed too early or claimed too soon, and every answer is the oracle's.

``make simulate`` runs more of them, for as long as it is told to.
"""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.simulation.running import run, run_seed
from tests.simulation.schedule import KINDS, schedule_of
from tests.simulation.shortening import Shortening

#: Seeds of one test, and how many there are: together the part of all schedules that each run of the tests tries.
SEEDS_A_TEST, TESTS = 25, 40
#: Messages of each: enough for some batches of each partition.
MESSAGES = 150

#: Seeds that find what the simulator has found once, where it is put back.
FOUND = {
    "a partition went back to the begin of the batch in hand": 28,
    "the same, and commits failed": 127,
    "messages of a topic that was there before were in hand": 366,
}


@pytest.mark.parametrize("first", range(0, SEEDS_A_TEST * TESTS, SEEDS_A_TEST))
def test_schedules_end_well(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        verdict = run_seed(seed, messages=MESSAGES)
        if verdict.wrong:
            pytest.fail(Shortening(run, most_runs=100).shorten(verdict).told())


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_once_is_mended(what: str) -> None:
    verdict = run_seed(FOUND[what], messages=MESSAGES)
    assert verdict.wrong is None, verdict.told()


def test_a_schedule_of_the_full_size_ends_well() -> None:
    verdict = run_seed(1)
    assert verdict.wrong is None, verdict.told()
    assert verdict.checks > verdict.schedule.messages


def test_schedules_have_every_kind_of_fault() -> None:
    kinds = {fault.kind for seed in range(SEEDS_A_TEST * TESTS) for fault in schedule_of(seed).faults}
    assert kinds == KINDS.keys()


def digest_of(seed: int) -> str:
    return sha256(str(run_seed(seed, messages=MESSAGES).story).encode()).hexdigest()


def test_a_schedule_always_goes_the_same_way_also_in_another_process() -> None:
    """Nothing depends on how texts are hashed, or on what ran before."""
    code = "from tests.simulation.test_schedules import digest_of; print(digest_of(3))"
    for hash_seed in ("1", "2"):
        variables = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path.cwd())}
        found = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
        assert found.stdout.strip() == digest_of(3)
