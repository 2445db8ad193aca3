from __future__ import annotations

import pytest

from replog_collector.health.progress import Progress
from replog_collector.health.watchdog import EXIT_CODE, GRACE_S, Watchdog
from replog_collector.kafka.source import Standing


class Bench:
    """A watchdog, its clock, and the exit codes it asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ended: list[int] = []
        self.progress = Progress(lambda: self.now, 60)
        self.watchdog = Watchdog(self.progress, clock=lambda: self.now, end=self.ended.append)

    def stand(self, position: int, end: int, *, for_s: int) -> None:
        for _ in range(for_s):
            self.now += 1
            self.progress.update({0: Standing(position, end)})
            self.watchdog.check()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_collector_that_stands_still_is_ended_after_its_probes_could_see_it(bench: Bench) -> None:
    bench.stand(5, 9, for_s=62)
    assert bench.progress.stalled()
    assert bench.ended == []
    bench.stand(5, 9, for_s=int(GRACE_S))
    assert bench.ended == [EXIT_CODE]


def test_a_loop_that_hangs_is_ended(bench: Bench) -> None:
    for bench.now in range(100):
        bench.watchdog.check()
    assert EXIT_CODE in bench.ended


def test_one_that_moves_again_lives(bench: Bench) -> None:
    bench.stand(5, 9, for_s=65)
    bench.stand(6, 9, for_s=60)
    assert bench.ended == []


def test_an_idle_topic_is_no_stall(bench: Bench) -> None:
    bench.stand(9, 9, for_s=600)
    assert bench.ended == []


def test_an_outage_that_is_known_is_no_stall(bench: Bench) -> None:
    for _ in range(60):
        bench.stand(5, 9, for_s=10)
        bench.progress.excuse()
    assert bench.ended == []


def test_a_slow_batch_is_no_stall_until_it_is_very_slow(bench: Bench) -> None:
    bench.progress.delivering = True
    bench.stand(5, 9, for_s=290)
    assert bench.ended == []
    bench.stand(5, 9, for_s=30)
    assert EXIT_CODE in bench.ended
