from __future__ import annotations

from itertools import count

from replog_collector.kafka.offsets.positions import Positions
from replog_collector.kafka.source import PolledSpan


def begun(offset: int, *, committed: int | None = None) -> Positions:
    positions = Positions(count())
    positions.begin(0, offset, committed=committed)
    return positions


def test_each_poll_begins_where_the_one_before_ended() -> None:
    """Whatever offsets the messages have: transactions and compaction leave holes."""
    positions = begun(5)
    assert [positions.poll({0: end}) for end in (9, 20, 21)] == [
        {0: PolledSpan(5, 9, 0)},
        {0: PolledSpan(9, 20, 0)},
        {0: PolledSpan(20, 21, 0)},
    ]


def test_what_was_polled_already_is_not_new() -> None:
    positions = begun(5)
    positions.begin(1, 7, committed=None)
    assert positions.poll({0: 9, 1: 7}) == {0: PolledSpan(5, 9, 0)}
    assert positions.poll({0: 8, 1: 8}) == {1: PolledSpan(7, 8, 1)}
    assert positions.poll({0: 10}) == {0: PolledSpan(9, 10, 0)}


def test_after_going_back_polls_begin_there() -> None:
    positions = begun(5)
    positions.poll({0: 9})
    positions.begin(0, 2, committed=5)
    assert positions.poll({0: 9}) == {0: PolledSpan(2, 9, 1)}
    assert positions.applied == {0: 2}


def test_what_is_applied_is_to_be_committed_and_never_goes_back() -> None:
    positions = begun(5)
    positions.apply({0: 9})
    positions.apply({0: 7})
    assert positions.applied == positions.uncommitted == {0: 9}


def test_nothing_is_applied_of_a_partition_that_is_not_begun() -> None:
    positions = begun(5)
    positions.apply({1: 9})
    assert (positions.applied, positions.uncommitted) == ({0: 5}, {})


def test_where_a_partition_begins_is_committed_where_something_else_is() -> None:
    assert begun(5).uncommitted == {}
    assert begun(5, committed=5).uncommitted == {}
    assert begun(5, committed=9).uncommitted == {0: 5}


def test_what_was_to_be_committed_is_not_after_going_back_to_what_is() -> None:
    positions = begun(5, committed=5)
    positions.apply({0: 9})
    positions.begin(0, 5, committed=5)
    assert positions.uncommitted == {}


def test_what_came_while_the_broker_was_told_stays_to_be_told() -> None:
    positions = begun(5)
    positions.begin(1, 3, committed=4)
    positions.apply({0: 9})
    sent = dict(positions.uncommitted)
    positions.apply({0: 12})
    positions.commit(sent)
    assert positions.uncommitted == {0: 12}


def test_nothing_is_taken_of_a_partition_before_it_is_decided_where_it_begins() -> None:
    positions = begun(5)
    positions.apply({1: 9})
    assert (positions.poll({1: 9}), positions.applied, positions.uncommitted) == ({}, {0: 5}, {})


def test_what_is_committed_is_what_the_broker_was_told() -> None:
    """At first that is what it had, or where reading began."""
    assert (begun(5).committed, begun(5, committed=3).committed) == ({0: 5}, {0: 3})
    positions = begun(5)
    positions.apply({0: 9})
    assert positions.committed == {0: 5}
    positions.commit({0: 9})
    assert positions.committed == {0: 9}


def test_nothing_is_known_of_a_partition_that_is_forgotten() -> None:
    positions = begun(5, committed=3)
    positions.begin(1, 7, committed=None)
    positions.poll({0: 9})
    positions.forget([0, 2])
    positions.apply({0: 9})
    assert (positions.applied, positions.uncommitted, positions.committed) == ({1: 7}, {}, {1: 7})
    assert positions.poll({0: 9, 1: 7}) == {}
