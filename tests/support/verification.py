"""Verifications and copies of a store, as the operator's commands make them, without their terminal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from replog.store.client.command import Command
from replog.store.format.keys import RecordKeys
from replog.store.write.writer import Writer
from replog_collector.pipeline.clock_limit import AheadLimit
from replog_repair.copying.copier import Copied, copy
from replog_repair.copying.store_ends import StoreDestination, StoreOrigin
from replog_repair.verification.fold_selection import Selection
from replog_repair.verification.topic_fold import InMemory, TopicFold
from tests.support.model import Model
from tests.support.store.answers import answers, expected
from tests.support.store.batches import batch_of
from tests.support.store.indexes import assert_indexes_agree, indexed, to_be_indexed
from tests.support.topic import TopicInMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from replog.store.client.connection import Connection
    from replog.store.client.pipelining import CommandRunner
    from replog_repair.copying.file_ends import FileOrigin
    from tests.support.strategies import Event

#: So few that what is folded is spilled in pieces.
FEW = InMemory(events=7)


class Silent:
    """Reports nothing."""

    def begin(self, step: str) -> None: ...

    def update(self, done: int, total: int) -> None: ...


def unexpected(key: bytes, why: str) -> None:
    """Nothing is unreadable."""
    raise AssertionError(key, why)


async def write(connection: CommandRunner, events: Sequence[Event], size: int = 100) -> None:
    """Merge ``events`` in batches of ``size``."""
    writer = Writer(connection)
    for i in range(0, len(events), size):
        await writer.merge(batch_of(events[i : i + size]))


def fold_of(
    topic: TopicInMemory | Sequence[Event], *, in_memory: InMemory = FEW, selection: Selection | None = None
) -> TopicFold:
    """A fold of a topic."""
    reader: Any = topic if isinstance(topic, TopicInMemory) else TopicInMemory(topic)
    return TopicFold(
        reader, AheadLimit(0), progress=lambda *_: None, selection=selection or Selection(), in_memory=in_memory
    )


def origin_of(connection: CommandRunner, unreadable: Callable[[bytes, str], None] = unexpected) -> StoreOrigin:
    """A store as the origin of a copy."""
    return StoreOrigin(connection, identity=connection.prefix, unreadable=unreadable)


async def copy_to(
    destination: Connection, origin: StoreOrigin | FileOrigin, runner: CommandRunner | None = None
) -> Copied:
    """Copy ``origin``; ``runner`` is what the commands to the destination go through."""
    end = StoreDestination(runner or destination, origin=origin.identity, epoch=lambda: destination.epoch)
    return await copy(origin, end, progress=lambda *_: None)


async def merge_while_both_are_written(connection: Connection, copied: Connection, events: Sequence[Event]) -> None:
    """Merge one store into another: each has some of the events, and gets others meanwhile."""
    middle = len(events) * 2 // 3
    before, meanwhile = events[:middle], events[middle:]
    await write(connection, before[::2])
    await write(copied, before[1::2])
    async with asyncio.TaskGroup() as group:
        group.create_task(copy_to(copied, origin_of(connection)), name="copy")
        group.create_task(write(connection, meanwhile[::2], 10), name="writes to the origin")
        group.create_task(write(copied, meanwhile[1::2], 10), name="writes to the destination")
    await copy_to(copied, origin_of(connection))


async def assert_answers_as_the_oracle(connection: Connection, events: Sequence[Event]) -> None:
    """Require of every answer, index and list that it is what the oracle says, and that nothing else is there."""
    model = Model([*events])
    assert await answers(connection, model) == expected(model)
    assert await indexed(connection) == to_be_indexed(model)
    for record_id in model.record_ids:
        await assert_indexes_agree(connection, record_id)
    ids = {event["recordId"] for event in events}
    there = await connection.run([Command("EXISTS", [RecordKeys(connection.prefix, of).record]) for of in ids])
    assert {of for of, found in zip(ids, there, strict=True) if found} == {*model.record_ids}
