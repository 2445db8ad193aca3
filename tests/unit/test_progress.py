from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from replog_collector.health.progress import Progress
from replog_collector.kafka.source import Standing


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress(clock, stalled_after_s=60)


def stand(progress: Progress, clock: Clock, position: int, end: int, *, for_s: float) -> str | None:
    """What the probe says when a partition is seen to stand so, every second, for a while."""
    until = clock.now + for_s
    while clock.now < until:
        clock.now += 1
        progress.update({0: Standing(position, end)})
    return progress.stalled()


def test_a_partition_with_lag_that_stands_still_is_stalled(progress: Progress, clock: Clock) -> None:
    assert stand(progress, clock, 5, 9, for_s=60) is None
    assert "partition 0 stands at offset 5, 4 behind" in (stand(progress, clock, 5, 9, for_s=2) or "")


def test_one_step_ends_the_stall(progress: Progress, clock: Clock) -> None:
    stand(progress, clock, 5, 9, for_s=90)
    assert stand(progress, clock, 6, 9, for_s=1) is None


def test_an_idle_partition_is_not_stalled(progress: Progress, clock: Clock) -> None:
    assert stand(progress, clock, 9, 9, for_s=600) is None


def test_lag_that_has_just_come_is_not_counted_from_before(progress: Progress, clock: Clock) -> None:
    stand(progress, clock, 9, 9, for_s=600)
    assert stand(progress, clock, 9, 12, for_s=30) is None


def test_an_outage_with_a_known_reason_is_no_stall(progress: Progress, clock: Clock) -> None:
    stand(progress, clock, 5, 9, for_s=50)
    for _ in range(20):
        clock.now += 10
        progress.excuse()
    assert progress.stalled() is None


def test_a_loop_that_does_not_come_round_is_stalled(progress: Progress, clock: Clock) -> None:
    progress.update({})
    clock.now += 61
    assert progress.stalled() == "the loop has not come round for 61 s"


def test_a_partition_given_up_is_forgotten(progress: Progress, clock: Clock) -> None:
    stand(progress, clock, 5, 9, for_s=90)
    progress.update({})
    assert progress.stalled() is None


def move(progress: Progress, clock: Clock, *, for_s: float) -> str | None:
    """What the probe says when the group is seen to move partitions, every second, for a while."""
    until = clock.now + for_s
    while clock.now < until:
        clock.now += 1
        progress.update({}, moving=True)
    return progress.stalled()


def test_a_group_that_gives_no_partitions_is_a_stall(progress: Progress, clock: Clock) -> None:
    """Its members have no lag of their own: nothing else would tell that they stand still."""
    assert move(progress, clock, for_s=120) is None
    assert "the group has given it no partitions" in (move(progress, clock, for_s=2) or "")
    progress.update({})
    assert progress.stalled() is None


def test_a_group_that_waits_for_its_broker_is_no_stall(progress: Progress, clock: Clock) -> None:
    move(progress, clock, for_s=100)
    progress.excuse()
    assert move(progress, clock, for_s=100) is None


def test_a_member_without_a_partition_is_not_stalled(progress: Progress, clock: Clock) -> None:
    """There are more collectors than partitions."""
    for _ in range(600):
        clock.now += 1
        progress.update({})
    assert progress.stalled() is None


def gauge(name: str) -> float | None:
    """What a gauge of partition 7 says."""
    return REGISTRY.get_sample_value(name, {"partition": "7"})


def test_the_lag_that_is_committed_is_told_beside_the_lag(progress: Progress) -> None:
    """Until the partition is given up."""
    progress.update({7: Standing(6, 9, committed=4)})
    assert (gauge("replog_consumer_lag"), gauge("replog_consumer_committed_lag")) == (3, 5)
    progress.update({})
    assert gauge("replog_consumer_committed_lag") is None
