"""The endpoint of the newest runs of many tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from replog_api.admission.auth import Rights
from replog_api.http.request_context import context_of
from replog_api.queries.query_runner import Timed
from replog_api.queries.responses import Answer, listed

if TYPE_CHECKING:
    from replog.store.read.task_queries import TaskQueries
    from replog_api.http.query_values import TaskRunsQuery
    from replog_api.queries.query_runner import QueryRunner


class TaskRunsEndpoint:
    """One instance a process."""

    def __init__(self, queries: TaskQueries, runner: QueryRunner) -> None:
        self._queries = queries
        self._runner = runner

    async def list_runs(self, request: Request, query: TaskRunsQuery) -> Response:
        """A row for each key, in the order asked."""
        prefix = context_of(request.scope).prefix
        for key in query.task_keys:
            Rights.check_task(prefix, key)
        query_key = self._runner.query_key(request, "list_runs", query.last, *query.task_keys)

        async def version() -> bytes | None:
            return await self._queries.runs_version(query.task_keys, query.last)

        async def find() -> Answer:
            with Timed("list_runs"):
                tasks = await self._queries.runs(query.task_keys, query.last)
            return listed(tasks.version, tasks.data, self._runner.renderer(request))

        return await self._runner.answer(request, query_key, version, find)
