"""Queries for tasks and their records, each with its version.

The records and the counter of each page that was read are remembered. So the version of that page takes one small read.
The version of another page, or of one whose list has changed since, takes reading the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from replog.lru_cache import LruCache
from replog.store.client.command import Command
from replog.store.format.keys import record_key, task_keys
from replog.store.read.reader import READ_LIMITS, Reader, ReadLimits, known_of
from replog.store.read.results import NOTHING, Page, Versioned, VersionedSteps
from replog.store.read.silent_records import silent_records
from replog.store.read.tasks.task_pages import Tasks
from replog.store.read.tasks.task_runs import runs_version, task_runs
from replog.store.read.versions import (
    PageRead,
    RowVersion,
    TasksRead,
    VersionRecorder,
    counter_call,
    joined,
    moved_calls,
    page_version,
    row_call,
    rows_of,
    rows_of_replies,
    shown_of,
    tasks_version,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.rows import StoredRecord, StoredTask
    from replog.store.read.results import SilentRecord, TaskRuns
    from replog.store.read.tasks.task_pages import TaskRows
    from replog.store.read.tasks.task_runs import Pulse

#: Pages of records, and pages of tasks, that are remembered.
REMEMBERED = 256
#: Records whose versions one step of the version of a long list reads.
STEP = 500

#: A page of a task's records: its key, status, offset and limit; the limit of the whole list is None.
_PageOf: TypeAlias = tuple[str, str, int, int | None]
#: Tasks with their latest records: some keys, or the prefix, status, offset and limit of a page.
_TasksOf: TypeAlias = tuple[str | int, ...]


class TaskQueries:
    """Queries for tasks and their records; a part of :class:`replog.store.read.queries.StoreQueries`.

    A method ``..._version`` tells the version that the method without this ending would return now, by a small read; it
    returns None where only that method can tell.
    """

    def __init__(
        self, connection: CommandRunner, *, remembered: int = REMEMBERED, limits: ReadLimits = READ_LIMITS
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._pages: LruCache[_PageOf, PageRead] = LruCache(remembered)
        self._tasks: LruCache[tuple[str, _TasksOf], TasksRead] = LruCache(remembered)
        self._runs: LruCache[tuple[int | str, ...], Pulse] = LruCache(remembered)
        self._moved = moved_calls(connection.prefix)

    async def record_page(self, task_key: str, status: str, offset: int, limit: int) -> Versioned[Page[StoredRecord]]:
        """A page of the task's records, of one status or (empty) all; an empty one where the task is unknown."""
        recorder = self._recorder(task_key)
        page = await Reader(recorder).record_page(task_key, status, offset, limit)
        total, read = page or (0, [])
        version = self._remember_page((task_key, status, offset, limit), recorder.reply, total, read)
        return Versioned(version, Page(total, known_of(read)))

    async def record_page_version(self, task_key: str, status: str, offset: int, limit: int) -> bytes | None:
        """The version of :meth:`record_page`."""
        return await self._page_version(task_key, self._pages.get((task_key, status, offset, limit)))

    async def record_list(self, task_key: str) -> Versioned[list[StoredRecord]] | None:
        """All records of the task, newest first; None where they take several steps."""
        recorder = self._recorder(task_key)
        steps = Reader(recorder, self._limits).listed_records(task_key)
        first: list[StoredRecord] = await anext(steps, [])
        page: _PageOf = (task_key, "", 0, None)
        if await anext(steps, None) is not None:
            # It was short when it was remembered; its version is read in steps now.
            self._pages.drop(page)
            return None
        version = self._remember_page(page, recorder.reply, len(first), first)
        return Versioned(version, known_of(first))

    async def long_record_list(self, task_key: str) -> VersionedSteps[StoredRecord]:
        """All records of the task, newest first, however many."""
        # The version first, and all rows after it.
        version, is_running = await self._list_version(task_key)
        steps = Reader(self._connection, self._limits).records(task_key)
        # A store that is down says so here, before anything of the list is used.
        return VersionedSteps(version, await anext(steps, []), steps, may_change=is_running)

    async def record_list_version(self, task_key: str) -> bytes | None:
        """The version of :meth:`record_list` and :meth:`long_record_list`."""
        remembered = self._pages.get((task_key, "", 0, None))
        if remembered is None:
            return (await self._list_version(task_key))[0]
        return await self._page_version(task_key, remembered)

    async def latest(self, keys: Sequence[str]) -> Versioned[Page[StoredTask]]:
        """The tasks of these keys, in this order, each with its latest record; none where a task is unknown."""
        tasks = await Tasks(self._connection).latest(keys)
        return self._remember_tasks(("latest", tuple(keys)), tasks)

    async def latest_version(self, keys: Sequence[str]) -> bytes | None:
        """The version of :meth:`latest`."""
        remembered = self._tasks.get(("latest", tuple(keys)))
        if remembered is None:
            return None
        return await self._tasks_version([counter_call(self._connection.prefix, key) for key in keys], remembered)

    async def task_page(self, prefix: str, status: str, offset: int, limit: int) -> Versioned[Page[StoredTask]]:
        """A page of the tasks whose key begins with ``prefix``, by status of the latest record or (empty) all."""
        tasks = await Tasks(self._connection).page(prefix, status, offset, limit)
        return self._remember_tasks(("page", (prefix, status, offset, limit)), tasks)

    async def task_page_version(self, prefix: str, status: str, offset: int, limit: int) -> bytes | None:
        """The version of :meth:`task_page`."""
        remembered = self._tasks.get(("page", (prefix, status, offset, limit)))
        return None if remembered is None else await self._tasks_version(self._moved, remembered)

    async def runs(self, keys: Sequence[str], last: int) -> Versioned[list[TaskRuns]]:
        """The ``last`` runs of each of these tasks, in this order; none where a task is unknown."""
        runs, pulse = await task_runs(self._connection, keys, last)
        self._runs.put((last, *keys), pulse)
        return runs

    async def runs_version(self, keys: Sequence[str], last: int) -> bytes | None:
        """The version of :meth:`runs`."""
        return await runs_version(self._connection, keys, self._runs.get((last, *keys)))

    async def silent_records(
        self, *, now_ms: int, silent_for_s: int, offset: int, limit: int, prefix: str = ""
    ) -> Versioned[Page[SilentRecord]]:
        """A page of silent records; see :func:`replog.store.read.silent_records.silent_records`."""
        return await silent_records(
            self._connection, now_ms=now_ms, silent_for_s=silent_for_s, offset=offset, limit=limit, prefix=prefix
        )

    async def _page_version(self, task_key: str, page: PageRead | None) -> bytes | None:
        keys = page.keys if page else ()
        calls = [counter_call(self._connection.prefix, task_key), *map(row_call, keys)]
        counter, *replies = await self._connection.run(calls)
        if counter is None:
            return NOTHING
        if page is None or counter != page.counter:
            return None
        return page_version(counter, page.total, rows_of_replies(keys, replies))

    async def _tasks_version(self, counters: Sequence[Command], tasks: TasksRead) -> bytes | None:
        replies = await self._connection.run([*counters, *map(row_call, tasks.keys)])
        if joined(replies[: len(counters)]) != tasks.counter:
            return None
        return tasks_version(tasks.total, tasks.shown, rows_of_replies(tasks.keys, replies[len(counters) :]))

    async def _list_version(self, task_key: str) -> tuple[bytes, bool]:
        """The version of all of a task's records, read in steps, and whether any is RUNNING."""
        prefix = self._connection.prefix
        _, time_key, status_key = task_keys(prefix, task_key)
        counter, total, running = await self._connection.run(
            [
                counter_call(prefix, task_key),
                Command("ZCARD", [time_key]),
                Command("ZLEXCOUNT", [status_key], (b"[R", b"(S")),
            ]
        )
        rows: list[RowVersion] = []
        for start in range(0, total, STEP):
            (ids,) = await self._connection.run([Command("ZREVRANGE", [time_key], (start, start + STEP - 1))])
            keys = [record_key(prefix, raw.decode()) for raw in ids]
            rows += rows_of_replies(keys, await self._connection.run([row_call(key) for key in keys]))
        return page_version(counter, total, rows), running > 0

    def _remember_page(self, page: _PageOf, counter: bytes | None, total: int, read: Sequence[StoredRecord]) -> bytes:
        """The version of what was just read."""
        rows = rows_of(self._connection.prefix, read)
        # An empty page has nothing that would tell it from one of a list that was emptied and filled again.
        if counter is None or not rows:
            self._pages.drop(page)
        else:
            self._pages.put(page, PageRead(counter, total, [row.key for row in rows]))
        return page_version(counter, total, rows)

    def _remember_tasks(self, of: tuple[str, _TasksOf], tasks: TaskRows) -> Versioned[Page[StoredTask]]:
        rows, shown = rows_of(self._connection.prefix, tasks.read), shown_of(tasks.rows)
        # As of a page of records: without any there is nothing that tells lists that were emptied and filled again.
        if rows:
            self._tasks.put(of, TasksRead(tasks.counter, tasks.total, shown, [row.key for row in rows]))
        else:
            self._tasks.drop(of)
        return Versioned(tasks_version(tasks.total, shown, rows), Page(tasks.total, tasks.rows))

    def _recorder(self, task_key: str) -> VersionRecorder:
        return VersionRecorder(self._connection, counter_call(self._connection.prefix, task_key))
