"""The endpoints of many tasks, each with its latest record."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from replog_api.admission.auth import Rights
from replog_api.http.request_context import context_of
from replog_api.queries.query_runner import Timed
from replog_api.queries.responses import Answer, listed, paged

if TYPE_CHECKING:
    from replog.store.read.task_queries import TaskQueries
    from replog_api.http.query_values import LatestQuery, TaskPageQuery
    from replog_api.queries.query_runner import QueryRunner


class TasksEndpoints:
    """Answers about tasks and their latest records; one instance a process."""

    def __init__(self, queries: TaskQueries, runner: QueryRunner) -> None:
        self._queries = queries
        self._runner = runner

    async def of_keys(self, request: Request, query: LatestQuery) -> Response:
        """The latest records of some tasks."""
        keys, prefix = query.task_keys, context_of(request.scope).prefix
        for key in keys:
            Rights.check_task(prefix, key)
        query_key = self._runner.query_key(request, "latest", *keys)

        async def find() -> Answer:
            with Timed("latest"):
                version, tasks = await self._queries.latest(keys)
            return listed(version, tasks.rows, self._runner.renderer(request))

        return await self._runner.answer(request, query_key, lambda: self._queries.latest_version(keys), find)

    async def page_tasks(self, request: Request, query: TaskPageQuery) -> Response:
        """A page of tasks in order of activity."""
        prefix = Rights.readable(context_of(request.scope).prefix, query.prefix)
        page = prefix, query.status, query.offset, query.page_size
        query_key = self._runner.query_key(
            request, "page_tasks", prefix, query.page_number, query.page_size, query.status
        )

        async def find() -> Answer:
            async with self._runner.searching(request) if prefix else nullcontext():
                with Timed("page_tasks"):
                    tasks = await self._queries.task_page(*page)
            return paged(query, tasks, self._runner.renderer(request))

        return await self._runner.answer(request, query_key, lambda: self._queries.task_page_version(*page), find)
