"""A client may ask so often and no oftener; others are none the worse."""

from __future__ import annotations

import pytest

from replog_api.admission.limits import BURST_S, KEPT_CLIENTS, RateLimit


class Clock:
    """Shows what it is set to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def served(limit: RateLimit, client: str, times: int) -> int:
    """How many of so many requests pass."""
    return sum(limit.seconds_to_wait(client) == 0 for _ in range(times))


def test_a_burst_passes_and_then_the_rate(clock: Clock) -> None:
    """In any second after the burst as many as are allowed."""
    limit = RateLimit(10, clock)
    assert served(limit, "a", 1000) == pytest.approx(10 * BURST_S, abs=1)
    for _ in range(5):
        clock.now += 1
        assert served(limit, "a", 1000) == pytest.approx(10, abs=1)


def test_who_waits_as_told_is_served(clock: Clock) -> None:
    """And not before."""
    limit = RateLimit(0.5, clock)
    served(limit, "a", 100)
    wait_s = limit.seconds_to_wait("a")
    assert wait_s > 0
    clock.now += wait_s - 0.01
    assert limit.seconds_to_wait("a") > 0
    clock.now += 0.02
    assert limit.seconds_to_wait("a") == 0


def test_a_client_that_may_ask_seldom_may_ask(clock: Clock) -> None:
    """Once to begin with."""
    limit = RateLimit(0.01, clock)
    assert served(limit, "a", 10) == 1
    clock.now += 100
    assert served(limit, "a", 10) == 1


def test_clients_are_counted_apart(clock: Clock) -> None:
    """One that asks too much takes nothing from another."""
    limit = RateLimit(1, clock)
    served(limit, "a", 100)
    assert limit.seconds_to_wait("b") == 0


def test_a_quiet_client_saves_up_one_burst(clock: Clock) -> None:
    """However long it was quiet."""
    limit = RateLimit(10, clock)
    served(limit, "a", 1000)
    clock.now += 3600
    assert served(limit, "a", 1000) == pytest.approx(10 * BURST_S, abs=1)


def test_no_limit_is_none(clock: Clock) -> None:
    """Nothing is counted."""
    assert served(RateLimit(0, clock), "a", 100_000) == 100_000


def test_memory_is_bounded(clock: Clock) -> None:
    """Of many clients those are forgotten that asked longest ago."""
    limit = RateLimit(1, clock)
    served(limit, "early", 100)
    for number in range(KEPT_CLIENTS - 1):
        limit.seconds_to_wait(str(number))
    assert limit.seconds_to_wait("early") > 0
    for number in range(KEPT_CLIENTS):
        limit.seconds_to_wait(str(number))
    assert limit.seconds_to_wait("early") == 0
    assert len(limit._used_until) == KEPT_CLIENTS


def test_a_dear_request_counts_as_several(clock: Clock) -> None:
    """What it costs more is charged when that is known; a client that is not counted is not charged."""
    limit = RateLimit(1, clock)
    assert served(limit, "a", 1) == 1
    limit.charge("a", 9)
    limit.charge("unknown", 1000)
    assert limit.seconds_to_wait("a") == pytest.approx(10 - BURST_S + 1)
    assert limit.seconds_to_wait("unknown") == 0
    clock.now += 10 - BURST_S + 1
    assert limit.seconds_to_wait("a") == 0
