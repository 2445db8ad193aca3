"""The lag of a partition: from where a collector would go on to the last stable offset."""

from __future__ import annotations

from typing import Any

import pytest

from replog_collector.topics.descriptions import GroupDescription, PartitionOffsets
from replog_repair.diagnosis.lag import partition_lag
from replog_repair.diagnosis.unknown import Unknown
from tests.support.observations import NOW_MS, group_lag

UNKNOWN = Unknown("connection", "nobody there")


@pytest.mark.parametrize(
    ("offsets", "checkpoints", "lag", "lost"),
    [
        # Committed and checkpoint agree, or the lower one counts.
        ((0, 10, 10), {0: 10}, 0, 0),
        ((0, 10, 6), {0: 8}, 4, 0),
        ((0, 10, 8), {0: 6}, 4, 0),
        # Nothing committed, or no checkpoint: everything is read.
        ((2, 10, None), {}, 8, 0),
        ((2, 10, 10), {}, 8, 0),
        ((2, 10, 10), {0: None}, 8, 0),
        # The store cannot be asked: what is committed counts.
        ((2, 10, 7), UNKNOWN, 3, 0),
        ((2, 10, None), UNKNOWN, 8, 0),
        # Retention deleted what was not read.
        ((5, 10, 3), {0: 3}, 5, 2),
        ((10, 10, 3), {0: 3}, 0, 7),
        # The topic was made anew: it is read from its beginning.
        ((0, 10, 500), {0: 500}, 10, 0),
    ],
)
def test_lag(offsets: Any, checkpoints: Any, lag: int, lost: int) -> None:
    found = partition_lag(0, PartitionOffsets(*offsets), checkpoints)
    assert (found.lag, found.lost) == (lag, lost)


def test_ages_are_of_the_oldest_and_never_negative() -> None:
    behind = PartitionOffsets(0, 10, 4)
    assert group_lag(behind).age_s(NOW_MS) is None
    assert group_lag(behind, oldest_ms=NOW_MS - 1500).age_s(NOW_MS) == 1.5
    assert group_lag(behind, oldest_ms=NOW_MS + 1500).age_s(NOW_MS) == 0


def test_what_could_not_be_told_is_noted() -> None:
    """And is None, not an empty list."""
    found = group_lag(checkpoints=UNKNOWN, description=Unknown("unsupported", "an old broker"))
    assert (found.members, found.state) == (None, None)
    assert len(found.notes) == 2
    assert group_lag(description=GroupDescription("Dead", ())).members == ()
    assert group_lag().notes == []


def test_totals_are_sums() -> None:
    found = group_lag(PartitionOffsets(5, 10, 3))
    assert (found.total, found.lost) == (20, 8)
