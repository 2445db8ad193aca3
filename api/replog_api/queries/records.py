"""The endpoints of one record and its details."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from replog.store.read.filters import NO_FILTER
from replog.store.read.reader import Reader
from replog.store.read.versions import NOTHING, VersionRecorder, Versions, record_version, version_call
from replog_api.admission.auth import Rights
from replog_api.admission.limits import LONG_LIST_COST
from replog_api.http import messages
from replog_api.http.errors import UNKNOWN_RECORD, RefusedError
from replog_api.http.request_context import context_of
from replog_api.queries import render
from replog_api.queries.query_runner import timed
from replog_api.queries.responses import Answer, Steps, listed, long_list, paged, single

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.rows import StoredDetail
    from replog_api.http.query_values import DetailListQuery, DetailPageQuery, OverviewQuery, RecordQuery
    from replog_api.queries.query_runner import QueryRunner
    from replog_api.queries.task import TaskEndpoints


class RecordEndpoints:
    """Answers about records; one instance a process. ``tasks`` answers where an id turns out to be a task's key."""

    def __init__(self, connection: CommandRunner, runner: QueryRunner, rights: Rights, tasks: TaskEndpoints) -> None:
        self._connection = connection
        self._runner = runner
        self._rights = rights
        self._tasks = tasks
        self._versions = Versions(connection)

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
            found = await self._versions.record(record_id) if as_record else NOTHING
            return await self._tasks.version(query_key, record_id) if found == NOTHING else found

        async def find() -> Answer:
            found = await self._page(request, query) if as_record else None
            if found is not None:
                return found
            Rights.check_task(prefix, record_id)
            return await self._tasks.page(request, query_key, record_id, query)

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
        """What ``find`` finds of the record, which may be read."""
        await self._rights.check_record(context_of(request.scope).prefix, record_id)
        query_key = self._runner.query_key(request, operation, record_id)

        async def version() -> bytes:
            return await self._versions.record(record_id)

        async def timed_find() -> Answer:
            with timed(operation):
                return await find(request, record_id)

        return await self._runner.answer(request, query_key, version, timed_find, share=share)

    async def _one(self, request: Request, record_id: str) -> Answer:
        recorder = VersionRecorder(self._connection)
        record = await Reader(recorder).record(record_id)
        if record is None:
            raise RefusedError(UNKNOWN_RECORD, messages.unknown_record(record_id))
        renderer = self._runner.renderer(request)
        data = renderer.run(record)
        return single(_version_of_row(recorder), data, renderer.until_ms)

    async def _overview(self, request: Request, record_id: str) -> Answer:
        recorder = VersionRecorder(self._connection)
        overview = await Reader(recorder).overview(record_id)
        data = render.overview(overview) if overview else b"null"
        return single(_version_of_row(recorder), data)

    async def _page(self, request: Request, query: DetailPageQuery) -> Answer | None:
        record_id, flt = query.record_id, query.filter
        recorder = VersionRecorder(self._connection, version_call(self._connection.prefix, record_id))
        looking = self._runner.searching(request) if flt != NO_FILTER else nullcontext()
        async with looking:
            with timed("page_details"):
                page = await Reader(recorder).detail_page(record_id, flt, query.offset, query.page_size)
        if page is None:
            return None
        counter, written, _ = recorder.reply
        # It came between the look at its version and the page: the next look will find another version.
        version = os.urandom(16) if counter is None else record_version(counter, written)
        return paged(version, query, page, self._runner.renderer(request))

    async def _all(self, request: Request, record_id: str) -> Answer:
        recorder = VersionRecorder(self._connection, version_call(self._connection.prefix, record_id))
        steps = Reader(recorder).details(record_id)
        first: list[StoredDetail] = await anext(steps, [])
        second = await anext(steps, None)
        counter, written, running = recorder.reply
        version = record_version(counter, written)
        if second is None:
            return listed(version, first, self._runner.renderer(request))
        self._runner.charge(request, LONG_LIST_COST)
        as_of_ms, until_ms = self._runner.list_until(may_change=int(running or 0) > 0)
        rows = Steps(first, _beginning_with(second, steps))
        return long_list(version, until_ms, rows, self._runner.renderer(request, as_of_ms))


async def _beginning_with(
    step: list[StoredDetail], others: AsyncIterator[list[StoredDetail]]
) -> AsyncIterator[list[StoredDetail]]:
    yield step
    async for other in others:
        yield other


def _version_of_row(recorder: VersionRecorder) -> bytes:
    (row,) = recorder.rows
    return record_version(row.counter, row.written)
