"""The endpoint of the newest runs of many tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from replog.store.read.task_runs import runs_version, task_runs
from replog_api.admission.auth import Rights
from replog_api.http.request_context import context_of
from replog_api.queries.query_runner import timed
from replog_api.queries.responses import Answer, listed

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner
    from replog.store.read.task_runs import Pulse
    from replog_api.http.query_values import TaskRunsQuery
    from replog_api.queries.query_runner import QueryKey, QueryRunner

#: Answers of which is remembered what tells by a small read that they are the same.
KEPT_ANSWERS = 256


class TaskRunsEndpoint:
    """One instance a process."""

    def __init__(self, connection: CommandRunner, runner: QueryRunner) -> None:
        self._connection = connection
        self._runner = runner
        self._known: dict[QueryKey, Pulse] = {}

    async def list_runs(self, request: Request, query: TaskRunsQuery) -> Response:
        """A row for each key, in the order asked."""
        for key in query.task_keys:
            Rights.check_task(context_of(request.scope).prefix, key)
        query_key = self._runner.query_key(request, "list_runs", query.last, *query.task_keys)

        async def version() -> bytes | None:
            return await runs_version(self._connection, query.task_keys, self._known.get(query_key))

        async def find() -> Answer:
            with timed("list_runs"):
                tasks, pulse = await task_runs(self._connection, query.task_keys, query.last)
            self._remember(query_key, pulse)
            return listed(tasks.version, tasks.data, self._runner.renderer(request))

        return await self._runner.answer(request, query_key, version, find)

    def _remember(self, query_key: QueryKey, pulse: Pulse) -> None:
        self._known.pop(query_key, None)
        self._known[query_key] = pulse
        if len(self._known) > KEPT_ANSWERS:
            del self._known[next(iter(self._known))]
