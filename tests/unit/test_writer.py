"""The writer's calls have an owner: none of them outlives the merge that sent it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from replog.errors import StoreUnavailable
from replog.events import parse
from replog.store.write.batch import Batch
from replog.store.write.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.command import Command


#: More records than are sent together.
RECORDS = 30


class Held:
    """A store that answers nothing until it is told to; then the first run fails, and others have no effect."""

    prefix = "held"

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.two_begun, self.open = asyncio.Event(), asyncio.Event()

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        number = self.begun
        self.begun += 1
        if self.begun == 2:
            self.two_begun.set()
        try:
            await self.open.wait()
        finally:
            self.ended += 1
        if number == 0:
            raise StoreUnavailable("connection", "down")
        return [[b"2"] for _ in calls]


def batch_of_several_runs() -> Batch:
    batch = Batch()
    for number in range(RECORDS):
        started = {"type": "detail.started", "recordId": f"r{number}", "detailId": "d"}
        batch.add(parse(json.dumps({**started, "eventTime": "2021-05-12T12:00:00Z"}).encode()))
    return batch


async def test_a_merge_that_is_cancelled_leaves_no_call_behind() -> None:
    store = Held()
    merge = asyncio.create_task(Writer(store).merge(batch_of_several_runs()))
    async with asyncio.timeout(10):
        await store.two_begun.wait()
    assert [task.get_name() for task in asyncio.all_tasks()].count("merge calls") == store.begun
    merge.cancel()
    await asyncio.wait([merge])
    assert merge.cancelled()
    assert store.ended == store.begun >= 2
    assert "merge calls" not in [task.get_name() for task in asyncio.all_tasks()]


async def test_the_error_of_one_run_is_raised_once_no_other_is_under_way() -> None:
    store = Held()
    merge = asyncio.create_task(Writer(store).merge(batch_of_several_runs()))
    async with asyncio.timeout(10):
        await store.two_begun.wait()
        store.open.set()
        with pytest.raises(StoreUnavailable, match="down"):
            await merge
    assert store.ended == store.begun >= 2
