"""A store that is away is told of in few lines, however many requests fail by it."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from replog.errors import StoreUnavailable
from replog_api.http.store_trouble import EVERY_S, QUIET_S, StoreTrouble


class Clock:
    """Shows what it is set to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_many_failures_are_one_line_and_then_one_in_a_while(clock: Clock) -> None:
    """With the number of those that were left out, and a last line when it is over."""
    trouble = StoreTrouble(clock)
    with capture_logs() as lines:
        for second in range(int(2 * EVERY_S) + 1):
            clock.now = 1000.0 + second
            for number in range(100):
                trouble.failed(StoreUnavailable("connection", "refused"), f"{second}-{number}")
        clock.now += QUIET_S
        trouble.worked()
    assert [(line["event"], line["left_out"]) for line in lines] == [
        ("store_unavailable", 0),
        ("store_unavailable", 499),
        ("store_unavailable", 499),
        ("recovered", 99),
    ]
    assert lines[0]["trace_id"] == "0-0"
    assert lines[0]["kind"] == "connection"
    assert not trouble.failing


def test_a_store_that_fails_now_and_then_is_no_line_each_time(clock: Clock) -> None:
    """Where others are answered in between."""
    trouble = StoreTrouble(clock)
    with capture_logs() as lines:
        for _ in range(200):
            clock.now += 0.01
            trouble.failed(StoreUnavailable("timeout", "slow"), "t")
            trouble.worked()
    assert len(lines) == 1
