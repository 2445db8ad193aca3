from __future__ import annotations

from replog.store.write.offsets import Moment, Reached
from replog_collector.kafka.source import TopicSnapshot
from replog_collector.pipeline import freshness
from replog_collector.pipeline.freshness import Freshness


def looks(*ends: int, partitions: int = 1) -> Freshness:
    """A collector's memory of looks at partition 0, one a second, from second 1 on."""
    seen = Freshness()
    for second, end in enumerate(ends, start=1):
        seen.remember(TopicSnapshot(second * 1000, partitions, {0: end}))
    return seen


def times(reached: Reached | None) -> dict[int, int]:
    """By partition, up to when everything is applied."""
    return {number: moment.at_ms for number, moment in reached.moments.items()} if reached else {}


def test_who_is_at_the_end_has_what_came_before_it_was_asked_for() -> None:
    assert looks(7).reached({0: 7}) == Reached(1, 1000, {0: Moment(7, 1000)})


def test_who_is_behind_has_what_came_before_the_last_end_that_was_passed() -> None:
    seen = looks(5, 8, 12, 20)
    assert times(seen.reached({0: 7})) == {0: 1000}
    assert times(seen.reached({0: 12})) == {0: 3000}
    assert times(seen.reached({0: 19})) == {}
    assert times(seen.reached({0: 25})) == {0: 4000}


def test_who_begins_far_behind_tells_nothing_before_the_first_end_is_reached() -> None:
    seen = looks(100, 101, 102)
    for position in (0, 50, 99):
        assert seen.reached({0: position}) is None
    assert times(seen.reached({0: 100})) == {0: 1000}


def test_where_nothing_comes_time_goes_on() -> None:
    seen = looks(7)
    assert times(seen.reached({0: 7})) == {0: 1000}
    assert seen.reached({0: 7}) is None
    seen.remember(TopicSnapshot(2000, 1, {0: 7}))
    assert times(seen.reached({0: 7})) == {0: 2000}


def test_a_look_that_is_remembered_twice_is_told_once() -> None:
    seen = Freshness()
    for _ in range(2):
        seen.remember(TopicSnapshot(1000, 1, {0: 7}))
        told = seen.reached({0: 7})
    assert told is None


def test_who_goes_back_tells_nothing_before_it_is_where_it_was() -> None:
    seen = looks(5, 8)
    assert times(seen.reached({0: 8})) == {0: 2000}
    seen.remember(TopicSnapshot(3000, 1, {0: 8}))
    assert seen.reached({0: 5}) is None
    assert times(seen.reached({0: 8})) == {0: 3000}


def test_each_partition_has_a_time_of_its_own() -> None:
    seen = Freshness()
    seen.remember(TopicSnapshot(1000, 3, {0: 5, 1: 5}))
    seen.remember(TopicSnapshot(2000, 3, {0: 9, 1: 5}))
    assert times(seen.reached({0: 5, 1: 5})) == {0: 1000, 1: 2000}


def test_of_a_partition_that_was_given_up_nothing_is_told() -> None:
    seen = Freshness()
    seen.remember(TopicSnapshot(1000, 2, {0: 5, 1: 5}))
    assert times(seen.reached({0: 5})) == {0: 1000}
    assert seen.reached({0: 5, 1: 5}) is None


def test_the_number_of_partitions_is_that_of_the_last_look() -> None:
    seen = looks(5)
    seen.remember(TopicSnapshot(2000, 4, {0: 9}))
    assert seen.reached({0: 5}) == Reached(4, 2000, {0: Moment(5, 1000)})


def test_a_topic_that_was_made_anew_counts_from_the_start() -> None:
    seen = looks(100)
    seen.remember(TopicSnapshot(2000, 1, {0: 3}))
    assert times(seen.reached({0: 3})) == {0: 2000}


def test_however_far_behind_memory_is_bounded_and_the_last_end_is_known() -> None:
    last = freshness.REMEMBERED * 9
    seen = looks(*range(1, last + 1))
    assert len(seen._ahead[0]) <= freshness.REMEMBERED
    assert times(seen.reached({0: last // 2}))[0] <= last // 2 * 1000
    assert times(seen.reached({0: last})) == {0: last * 1000}
