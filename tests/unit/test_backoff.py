from __future__ import annotations

from random import Random

from replog_collector.backoff import Backoff


def test_delays_double_up_to_the_cap_and_never_fall_below_half() -> None:
    delays = Backoff(first_s=0.1, cap_s=10, chance=Random(1))
    for whole in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10):
        assert whole / 2 <= delays.next_s() <= whole


def test_a_success_begins_anew() -> None:
    delays = Backoff(first_s=0.1, cap_s=10, chance=Random(1))
    for _ in range(9):
        delays.next_s()
    assert delays.reset()
    assert delays.next_s() <= 0.1


def test_a_success_without_failures_is_no_recovery() -> None:
    assert not Backoff().reset()


def test_a_very_long_outage_does_not_overflow() -> None:
    delays = Backoff(failures=100_000)
    assert delays.next_s() <= delays.cap_s
