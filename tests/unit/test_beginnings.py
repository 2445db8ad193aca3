from __future__ import annotations

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from replog_collector.beginnings import Beginnings


def skipped() -> float:
    return REGISTRY.get_sample_value("replog_offsets_skipped_total") or 0.0


@pytest.mark.parametrize(
    ("reached", "begins"),
    [(None, 10), (10, 10), (15, 15), (20, 20), (21, 10)],
    ids=["a new group", "the first", "in between", "the end", "behind the end"],
)
def test_a_partition_is_read_from_where_it_was_left(reached: int | None, begins: int) -> None:
    before = skipped()
    assert Beginnings().of(0, reached, first=10, end=20) == begins
    assert skipped() == before


def test_what_retention_deleted_is_counted_and_said() -> None:
    before = skipped()
    with capture_logs() as lines:
        assert Beginnings().of(3, 4, first=10, end=20) == 10
    assert skipped() == before + 6
    assert lines == [{"event": "offsets_skipped", "log_level": "error", "partition": 3, "first": 4, "last": 9}]


def test_a_gap_that_is_met_again_is_counted_once() -> None:
    before, beginnings = skipped(), Beginnings()
    assert [beginnings.of(3, 4, first=first, end=20) for first in (10, 10, 12)] == [10, 10, 12]
    assert skipped() == before + 8


def test_a_topic_that_was_made_anew_is_read_from_where_it_was_left_all_the_same() -> None:
    before, beginnings = skipped(), Beginnings()
    beginnings.of(3, 4, first=10, end=20)
    assert beginnings.of(3, 2, first=0, end=5) == 2
    assert skipped() == before + 6
