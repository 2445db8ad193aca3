"""Many tasks at once, each with its latest record: those of some keys, or a page of all in order of activity.

A task's latest record is the first of its list. Its last *activity* is when that record ended or, while it is RUNNING,
the newest event of its newest attempt: the time in its outcome register, which the task's list holds. So it is a
function of the list, and the index of tasks is kept by the same script calls as the list (``write/activity.lua``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from replog.statuses import STATUS_LETTERS
from replog.store.client.command import Command
from replog.store.format.keys import task_keys
from replog.store.format.rows import StoredRecord, StoredTask
from replog.store.read.bounded_reads import records_of
from replog.store.read.tasks.tasks_by_activity import ANY, TASK_LIMITS, ActivityOrder
from replog.store.read.tasks.tasks_by_prefix import TaskNameIndex
from replog.store.read.versions import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.read.tasks.tasks_by_activity import TaskLimits

#: Where retention has removed a task's latest records and the list has them still, so many times more are looked at in
#: each step, up to so many.
FURTHER, MOST_A_STEP = 8, 512


class TaskRows(NamedTuple):
    """Tasks with their latest records, how many there are in all, and a counter that moves with what is listed.

    ``read`` are all records that were read for it, in that order: also those that are not there any more.
    """

    counter: bytes
    total: int
    rows: list[StoredTask]
    read: list[StoredRecord]


class Tasks:
    """Reads of many tasks.

    Every method raises :class:`~replog.errors.StoreUnavailable` where Redis does not answer.
    """

    def __init__(self, connection: CommandRunner, limits: TaskLimits = TASK_LIMITS) -> None:
        self._connection = connection
        self._limits = limits

    async def latest(self, keys: Sequence[str]) -> TaskRows:
        """The tasks of ``keys``, in this order; without a record where a task is unknown."""
        lists = [task_keys(self._connection.prefix, key) for key in keys]
        first = [Command("HGET", [entries], ("",)) for entries, *_ in lists]
        counters, records, read = await self._latest_of(lists, first)
        return TaskRows(joined(counters), len(keys), list(map(StoredTask, keys, records)), read)

    async def page(self, prefix: str, status: str, offset: int, limit: int) -> TaskRows:
        """A page of the tasks whose key begins with ``prefix``, by status of the latest record or (empty) all."""
        raw = prefix.encode()
        # In the index, NUL stands behind each key; none has one.
        if b"\x00" in raw:
            return TaskRows(b"", 0, [], [])
        order = ActivityOrder(self._connection, STATUS_LETTERS[status] if status else ANY, self._limits)
        if raw:
            named = TaskNameIndex(self._connection, raw, status, self._limits)
            matching = await named.read_head()
            keys = await named.page(matching, order, offset, limit)
            counters, total = matching.counters, matching.total
        else:
            seen = await order.read_head(offset + limit if offset <= self._limits.near else 0)
            keys = await order.page(seen, offset, limit)
            counters, total = seen.counters, seen.total
        _, records, read = await self._latest_of([task_keys(self._connection.prefix, key.decode()) for key in keys])
        tasks = (StoredTask(key.decode(), record) for key, record in zip(keys, records, strict=True))
        # Retention may have taken the last record of a task that was there a moment ago.
        return TaskRows(joined(counters), total, [task for task in tasks if task.record], read)

    async def _latest_of(
        self, lists: Sequence[list[bytes]], first: Sequence[Command] = ()
    ) -> tuple[list[bytes | None], list[StoredRecord | None], list[StoredRecord]]:
        """The latest record of each list, behind the replies to ``first``, which is sent together with the lists.

        Last all records that were read for it, in that order.
        """
        found: list[StoredRecord | None] = [None] * len(lists)
        waiting, begin, size = list(range(len(lists))), 0, 1
        replies, read = list[bytes | None](), list[StoredRecord]()
        while waiting:
            calls = [Command("ZREVRANGE", [lists[i][1]], (begin, begin + size - 1)) for i in waiting]
            answers = await self._connection.run([*first, *calls])
            replies, ids, first = replies or answers[: len(first)], answers[len(first) :], ()
            step = await records_of(self._connection, [raw.decode() for of_list in ids for raw in of_list])
            read += step
            records = iter(step)
            for i, of_list in zip(waiting, ids, strict=True):
                known = [record for record in (next(records) for _ in of_list) if record.known]
                found[i] = known[0] if known else None
            waiting = [i for i, of_list in zip(waiting, ids, strict=True) if of_list and not found[i]]
            begin, size = begin + size, min(size * FURTHER, MOST_A_STEP)
        return replies, found, read
