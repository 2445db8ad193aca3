from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from replog.errors import StoreUnavailable
from replog.store.write.offsets import CheckpointRange
from replog_collector.kafka.offsets.start_offsets import StartOffsets
from replog_collector.kafka.offsets.topic_queries import Bounds
from tests.support.fakes import MemoryCheckpoints

if TYPE_CHECKING:
    from collections.abc import Collection


def skipped() -> float:
    return REGISTRY.get_sample_value("replog_offsets_skipped_total") or 0.0


@pytest.mark.parametrize(
    ("reached", "begins"),
    [(None, 10), (10, 10), (15, 15), (20, 20), (21, 10)],
    ids=["a new group", "the first", "in between", "the end", "behind the end"],
)
def test_a_partition_is_read_from_where_it_was_left(reached: int | None, begins: int) -> None:
    before = skipped()
    assert StartOffsets(MemoryCheckpoints()).of(0, reached, first=10, end=20) == begins
    assert skipped() == before


def test_what_retention_deleted_is_counted_and_said() -> None:
    before = skipped()
    with capture_logs() as lines:
        assert StartOffsets(MemoryCheckpoints()).of(3, 4, first=10, end=20) == 10
    assert skipped() == before + 6
    assert lines == [{"event": "offsets_skipped", "log_level": "error", "partition": 3, "first": 4, "last": 9}]


def test_a_gap_that_is_met_again_is_counted_once() -> None:
    before, start_offsets = skipped(), StartOffsets(MemoryCheckpoints())
    assert [start_offsets.of(3, 4, first=first, end=20) for first in (10, 10, 12)] == [10, 10, 12]
    assert skipped() == before + 8


def test_a_topic_that_was_made_anew_is_read_from_where_it_was_left_all_the_same() -> None:
    before, start_offsets = skipped(), StartOffsets(MemoryCheckpoints())
    start_offsets.of(3, 4, first=10, end=20)
    assert start_offsets.of(3, 2, first=0, end=5) == 2
    assert skipped() == before + 6


@pytest.mark.parametrize(
    ("committed", "checkpoint", "left"),
    [(12, 10, 10), (7, 10, 7), (12, None, None), (None, 10, None), (20, 20, 20), (12, 21, 21)],
    ids=["checkpoint", "commit", "no checkpoint", "no commit", "the end", "behind the end"],
)
async def test_a_partition_was_left_at_the_lower_of_commit_and_checkpoint(
    committed: int | None, checkpoint: int | None, left: int | None
) -> None:
    """Unless the checkpoint is of a topic that was there before: everything of this one may be lost with it."""
    checkpoints = MemoryCheckpoints()
    checkpoints.stored = {} if checkpoint is None else {3: checkpoint}
    start_offsets = StartOffsets(checkpoints)
    assert start_offsets.left({3: Bounds(0, 20, committed)}, await start_offsets.checkpoints([3])) == {3: left}


def test_a_partition_of_which_one_bucket_is_behind_the_end_was_left_there() -> None:
    """As where a server came back older than the others."""
    checkpoints = {3: CheckpointRange(10, 21)}
    assert StartOffsets(MemoryCheckpoints()).left({3: Bounds(0, 20, 12)}, checkpoints) == {3: 21}


async def test_checkpoints_are_set_where_a_partition_begins_elsewhere_than_it_was_left() -> None:
    checkpoints = MemoryCheckpoints()
    await StartOffsets(checkpoints).save({0: 10, 1: 7, 2: 3}, {0: 10, 1: 5, 2: None})
    assert checkpoints.stored == {1: 7, 2: 3}


async def test_a_store_that_hangs_is_not_waited_for() -> None:
    """The group waits for its member meanwhile, and takes it for dead in the end."""
    with pytest.raises(StoreUnavailable) as caught:
        await StartOffsets(HangingCheckpoints(), answer_timeout_s=0.01).checkpoints([0])
    assert caught.value.kind == "timeout"


class HangingCheckpoints(MemoryCheckpoints):
    async def read_ranges(self, partitions: Collection[int]) -> dict[int, CheckpointRange | None]:
        await asyncio.Event().wait()
        return await super().read_ranges(partitions)
