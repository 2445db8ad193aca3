from __future__ import annotations

import pytest

from replog.errors import TooManyDeadLetters
from replog_collector.pipeline.dead_letter_limit import DeadLetterLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_few_events_say_little(clock: Clock) -> None:
    DeadLetterLimit(0.5, 10_000, clock=clock).take(999, 999)


def test_a_share_of_the_last_events_stops(clock: Clock) -> None:
    """However slowly they come."""
    limit = DeadLetterLimit(0.5, 10_000, clock=clock)
    for _ in range(999):
        clock.now += 60
        limit.take(1, 1)
    with pytest.raises(TooManyDeadLetters, match=r"1000 of the last 1000 events .*REPLOG_DEAD_LETTER_SHARE=0\.5"):
        limit.take(1, 1)


def test_what_was_good_long_ago_does_not_count(clock: Clock) -> None:
    limit = DeadLetterLimit(0.5, 10_000, clock=clock)
    limit.take(1_000_000, 0)
    limit.take(600, 500)
    with pytest.raises(TooManyDeadLetters):
        limit.take(600, 500)


def test_just_the_share_is_let_go_by(clock: Clock) -> None:
    DeadLetterLimit(0.5, 10_000, clock=clock).take(2000, 1000)


def test_a_number_in_a_minute_stops(clock: Clock) -> None:
    limit = DeadLetterLimit(1, 100, clock=clock)
    limit.take(1000, 60)
    clock.now = 61
    limit.take(1000, 60)
    clock.now = 100
    with pytest.raises(TooManyDeadLetters, match=r"120 events of a minute .*REPLOG_DEAD_LETTERS_PER_MINUTE=100"):
        limit.take(1000, 60)
