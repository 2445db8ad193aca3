"""The endpoints of many tasks, each with its latest record."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from replog.store.read.task_pages import Tasks
from replog.store.read.versions import (
    KnownTasks,
    VersionRecorder,
    Versions,
    counter_call,
    moved_calls,
    shown_of,
    tasks_version,
)
from replog_api.admission.auth import Rights
from replog_api.http.request_context import context_of
from replog_api.queries.query_runner import timed
from replog_api.queries.responses import Answer, listed, paged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.command import Command
    from replog.store.client.pipelining import CommandRunner
    from replog.store.read.task_pages import TaskRows
    from replog_api.http.query_values import LatestQuery, TaskPageQuery
    from replog_api.queries.query_runner import Find, QueryKey, QueryRunner

#: Answers whose records are remembered, so that their version is one small read.
KEPT_ANSWERS = 256


class TasksEndpoints:
    """Answers about tasks and their latest records; one instance a process."""

    def __init__(self, connection: CommandRunner, runner: QueryRunner) -> None:
        self._connection = connection
        self._runner = runner
        self._versions = Versions(connection)
        self._known: dict[QueryKey, KnownTasks] = {}

    async def of_keys(self, request: Request, query: LatestQuery) -> Response:
        """The latest records of some tasks."""
        keys = query.task_keys
        for key in keys:
            Rights.check_task(context_of(request.scope).prefix, key)
        query_key = self._runner.query_key(request, "latest", *keys)

        async def find() -> Answer:
            recorder = VersionRecorder(self._connection)
            with timed("latest"):
                tasks = await Tasks(recorder).latest(keys)
            version = self._remember(query_key, recorder, tasks)
            return listed(version, tasks.rows, self._runner.renderer(request))

        counters = [counter_call(self._connection.prefix, key) for key in keys]
        return await self._answer(request, query_key, counters, find)

    async def page_tasks(self, request: Request, query: TaskPageQuery) -> Response:
        """A page of tasks in order of activity."""
        prefix = Rights.readable(context_of(request.scope).prefix, query.prefix)
        query_key = self._runner.query_key(
            request, "page_tasks", prefix, query.page_number, query.page_size, query.status
        )

        async def find() -> Answer:
            recorder = VersionRecorder(self._connection)
            async with self._runner.searching(request) if prefix else nullcontext():
                with timed("page_tasks"):
                    tasks = await Tasks(recorder).page(prefix, query.status, query.offset, query.page_size)
            version = self._remember(query_key, recorder, tasks)
            return paged(version, query, tasks, self._runner.renderer(request))

        return await self._answer(request, query_key, moved_calls(self._connection.prefix), find)

    async def _answer(self, request: Request, query_key: QueryKey, counters: Sequence[Command], find: Find) -> Response:
        async def version() -> bytes | None:
            return await self._versions.tasks(counters, self._known.get(query_key))

        return await self._runner.answer(request, query_key, version, find)

    def _remember(self, query_key: QueryKey, recorder: VersionRecorder, tasks: TaskRows) -> bytes:
        """The version of what was just read."""
        self._known.pop(query_key, None)
        shown = shown_of((task.key, task.record.record_id if task.record else "") for task in tasks.rows)
        # As of a task's records: what shows no record cannot be told from what was emptied and filled again.
        if recorder.rows:
            self._known[query_key] = KnownTasks(
                tasks.counter, tasks.total, shown, tuple(row.key for row in recorder.rows)
            )
            if len(self._known) > KEPT_ANSWERS:
                del self._known[next(iter(self._known))]
        return tasks_version(tasks.total, shown, recorder.rows)
