"""The endpoints of many tasks, each with its latest record."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from replog.store.read.task_pages import Tasks
from replog.store.read.versions import (
    KnownTasks,
    Versions,
    Witness,
    counter_call,
    moved_calls,
    shown_of,
    tasks_version,
)
from replog_api.admission.auth import Rights
from replog_api.http import parameters
from replog_api.http.request_context import visit_of
from replog_api.queries.query_runner import timed
from replog_api.queries.responses import Found, listed, paged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.command import Call
    from replog.store.client.pipelining import Runs
    from replog.store.read.task_pages import TaskRows
    from replog_api.queries.query_runner import Answering, Find, Question

#: Answers whose records are remembered, so that their version is one small read.
KEPT_ANSWERS = 256


class LatestEndpoints:
    """Answers about tasks and their latest records; one instance a process."""

    def __init__(self, connection: Runs, answering: Answering) -> None:
        self._connection = connection
        self._answering = answering
        self._versions = Versions(connection)
        self._known: dict[Question, KnownTasks] = {}

    async def of_keys(self, request: Request) -> Response:
        """The latest records of some tasks."""
        keys = parameters.task_keys(request.scope["query_string"])
        for key in keys:
            Rights.check_task(visit_of(request.scope).prefix, key)
        question = self._answering.question(request, "latest", *keys)

        async def find() -> Found:
            witness = Witness(self._connection)
            with timed("latest"):
                tasks = await Tasks(witness).latest(keys)
            version = self._remember(question, witness, tasks)
            return listed(version, tasks.rows, self._answering.renderer(request))

        counters = [counter_call(self._connection.prefix, key) for key in keys]
        return await self._answer(request, question, counters, find)

    async def page_tasks(self, request: Request) -> Response:
        """A page of tasks in order of activity."""
        query = request.query_params
        window, status = parameters.window(query), parameters.status(query)
        prefix = Rights.readable(visit_of(request.scope).prefix, query.get("prefix", ""))
        question = self._answering.question(request, "page_tasks", prefix, *window, status)

        async def find() -> Found:
            witness = Witness(self._connection)
            async with self._answering.searching(request) if prefix else nullcontext():
                with timed("page_tasks"):
                    tasks = await Tasks(witness).page(prefix, status, window.offset, window.size)
            version = self._remember(question, witness, tasks)
            return paged(version, window, tasks, self._answering.renderer(request))

        return await self._answer(request, question, moved_calls(self._connection.prefix), find)

    async def _answer(self, request: Request, question: Question, counters: Sequence[Call], find: Find) -> Response:
        async def version() -> bytes | None:
            return await self._versions.tasks(counters, self._known.get(question))

        return await self._answering.answer(request, question, version, find)

    def _remember(self, question: Question, witness: Witness, tasks: TaskRows) -> bytes:
        """The version of what was just read."""
        self._known.pop(question, None)
        shown = shown_of((task.key, task.record.record_id if task.record else "") for task in tasks.rows)
        # As of a task's records: what shows no record cannot be told from what was emptied and filled again.
        if witness.rows:
            self._known[question] = KnownTasks(
                tasks.counter, tasks.total, shown, tuple(row.key for row in witness.rows)
            )
            if len(self._known) > KEPT_ANSWERS:
                del self._known[next(iter(self._known))]
        return tasks_version(tasks.total, shown, witness.rows)
