"""The endpoints of a task's records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from replog_api.admission.auth import Rights
from replog_api.admission.limits import LONG_LIST_COST
from replog_api.http.request_context import context_of
from replog_api.queries.query_runner import Timed
from replog_api.queries.responses import Answer, listed, long_list, paged

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from replog.store.read.task_queries import TaskQueries
    from replog_api.http.query_values import DetailPageQuery, RecordListQuery, RecordPageQuery
    from replog_api.queries.query_runner import QueryRunner


class TaskEndpoints:
    """Answers about the records of one task; one instance a process."""

    def __init__(self, queries: TaskQueries, runner: QueryRunner) -> None:
        self._queries = queries
        self._runner = runner

    async def list_records(self, request: Request, query: RecordListQuery) -> Response:
        """Endpoint 1: all records of a task."""
        key = query.task_key
        Rights.check_task(context_of(request.scope).prefix, key)
        query_key = self._runner.query_key(request, "list_records", key)
        # A long list is read while it is sent, to one client.
        return await self._runner.answer(
            request,
            query_key,
            lambda: self._queries.record_list_version(key),
            lambda: self._all(request, key),
            share=False,
        )

    async def page_records(self, request: Request, query: RecordPageQuery) -> Response:
        """Endpoint 2: a page of a task's records."""
        key = query.task_key
        Rights.check_task(context_of(request.scope).prefix, key)
        query_key = self._runner.query_key(
            request, "page_records", key, query.page_number, query.page_size, query.status
        )
        return await self._runner.answer(
            request,
            query_key,
            lambda: self.page_version(key, query),
            lambda: self.page(request, key, query),
            wait_s=query.wait_s,
        )

    def page_version(self, key: str, query: RecordPageQuery | DetailPageQuery) -> Awaitable[bytes | None]:
        """The version of :meth:`page`; None where the page has to be read to know it."""
        return self._queries.record_page_version(key, query.status, query.offset, query.page_size)

    async def page(self, request: Request, key: str, query: RecordPageQuery | DetailPageQuery) -> Answer:
        """A page of a task's records; an empty one where the task is unknown."""
        with Timed("page_records"):
            page = await self._queries.record_page(key, query.status, query.offset, query.page_size)
        return paged(query, page, self._runner.renderer(request))

    async def _all(self, request: Request, key: str) -> Answer:
        with Timed("list_records"):
            records = await self._queries.record_list(key)
        if records is not None:
            return listed(records.version, records.data, self._runner.renderer(request))
        self._runner.charge(request, LONG_LIST_COST)
        steps = await self._queries.long_record_list(key)
        as_of_ms, until_ms = self._runner.list_until(may_change=steps.may_change)
        return long_list(steps, until_ms, self._runner.renderer(request, as_of_ms))
