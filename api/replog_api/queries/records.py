"""The endpoints of one record and its details."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from replog.store.read.filters import NO_FILTER
from replog.store.read.results import NOTHING
from replog_api.admission.auth import Rights
from replog_api.admission.limits import LONG_LIST_COST
from replog_api.http import messages
from replog_api.http.errors import UNKNOWN_RECORD, RefusedError
from replog_api.http.request_context import context_of
from replog_api.queries import render
from replog_api.queries.query_runner import Timed
from replog_api.queries.responses import Answer, listed, long_list, paged, single

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from replog.store.read.record_queries import RecordQueries
    from replog_api.http.query_values import DetailListQuery, DetailPageQuery, OverviewQuery, RecordQuery
    from replog_api.queries.query_runner import QueryRunner
    from replog_api.queries.task import TaskEndpoints


class RecordEndpoints:
    """Answers about records; one instance a process. ``tasks`` answers where an id turns out to be a task's key."""

    def __init__(self, queries: RecordQueries, runner: QueryRunner, rights: Rights, tasks: TaskEndpoints) -> None:
        self._queries = queries
        self._runner = runner
        self._rights = rights
        self._tasks = tasks

    async def list_details(self, request: Request, query: DetailListQuery) -> Response:
        """Endpoint 3: all details of a record."""
        # A long list is read while it is sent, to one client.
        return await self._answer(request, query.record_id, "list_details", self._all, share=False)

    async def record(self, request: Request, query: RecordQuery) -> Response:
        """One record."""
        return await self._answer(request, query.record_id, "record", self._one)

    async def overview(self, request: Request, query: OverviewQuery) -> Response:
        """A record's roll-up."""
        return await self._answer(request, query.record_id, "overview", self._overview)

    async def page_details(self, request: Request, query: DetailPageQuery) -> Response:
        """Endpoint 4: a page of a record's details; of a task's records where no such record exists."""
        record_id, prefix = query.record_id, context_of(request.scope).prefix
        as_record = await self._rights.may_read_record(prefix, record_id)
        if not as_record:
            Rights.check_task(prefix, record_id)
        query_key = self._runner.query_key(
            request, "page_details", record_id, query.page_number, query.page_size, *query.filter, as_record, prefix
        )

        async def version() -> bytes | None:
            current = await self._queries.record_version(record_id) if as_record else NOTHING
            return await self._tasks.page_version(record_id, query) if current == NOTHING else current

        async def find() -> Answer:
            answer = await self._page(request, query) if as_record else None
            if answer is not None:
                return answer
            Rights.check_task(prefix, record_id)
            return await self._tasks.page(request, record_id, query)

        return await self._runner.answer(request, query_key, version, find, wait_s=query.wait_s)

    async def _answer(
        self,
        request: Request,
        record_id: str,
        operation: str,
        find: Callable[[Request, str], Coroutine[Any, Any, Answer]],
        *,
        share: bool = True,
    ) -> Response:
        """The answer that ``find`` finds about a record, once it is known that it may be read."""
        await self._rights.check_record(context_of(request.scope).prefix, record_id)
        query_key = self._runner.query_key(request, operation, record_id)

        async def version() -> bytes:
            return await self._queries.record_version(record_id)

        async def timed_find() -> Answer:
            with Timed(operation):
                return await find(request, record_id)

        return await self._runner.answer(request, query_key, version, timed_find, share=share)

    async def _one(self, request: Request, record_id: str) -> Answer:
        record = await self._queries.record(record_id)
        if record is None:
            raise RefusedError(UNKNOWN_RECORD, messages.unknown_record(record_id))
        renderer = self._runner.renderer(request)
        data = renderer.run(record.data)
        return single(record.version, data, renderer.until_ms)

    async def _overview(self, request: Request, record_id: str) -> Answer:
        version, overview = await self._queries.overview(record_id)
        return single(version, render.overview(overview) if overview else b"null")

    async def _page(self, request: Request, query: DetailPageQuery) -> Answer | None:
        flt = query.filter
        async with self._runner.searching(request) if flt != NO_FILTER else nullcontext():
            with Timed("page_details"):
                page = await self._queries.detail_page(query.record_id, flt, query.offset, query.page_size)
        return paged(query, page, self._runner.renderer(request)) if page else None

    async def _all(self, request: Request, record_id: str) -> Answer:
        details = await self._queries.detail_list(record_id)
        if details.others is None:
            return listed(details.version, details.first, self._runner.renderer(request))
        self._runner.charge(request, LONG_LIST_COST)
        as_of_ms, until_ms = self._runner.list_until(may_change=details.may_change)
        return long_list(details, until_ms, self._runner.renderer(request, as_of_ms))
