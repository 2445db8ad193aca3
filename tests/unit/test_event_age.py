"""The histogram of ages takes the events of a batch at once."""

from __future__ import annotations

from replog_collector.metrics import EventAge


def told(age: EventAge) -> dict[str, float]:
    """The samples that are not zero: buckets by their bound, count and sum."""
    (family,) = age.collect()
    samples = {sample.labels.get("le", sample.name.rpartition("_")[2]): sample.value for sample in family.samples}
    return {name: value for name, value in samples.items() if value}


def test_events_are_counted_by_their_age() -> None:
    age = EventAge()
    age.observe([0, 6_399_000, 6_400_000, 6_500_000], 6_400_000)
    assert (told(age)["count"], told(age)["sum"]) == (4, 6_401)
    assert (told(age)["0.01"], told(age)["1"], told(age)["3600"], told(age)["+Inf"]) == (2, 3, 3, 4)


def test_a_negative_timestamp_stands_for_none_and_is_left_out() -> None:
    """Kafka says -1 of a message without one; it would be of 1970 for good."""
    age, without = EventAge(), EventAge()
    age.observe([2_000, -1, 1_000, -(2**63)], 3_000)
    without.observe([2_000, 1_000], 3_000)
    assert told(age) == told(without)


def test_a_batch_without_any_timestamp_changes_nothing() -> None:
    age = EventAge()
    age.observe([-1, -1], 3_000)
    age.observe([], 3_000)
    assert told(age) == {}
