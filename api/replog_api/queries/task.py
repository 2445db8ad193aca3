"""The endpoints of a task's records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from replog.store.read.reader import Page, Reader
from replog.store.read.versions import TaskPage, VersionRecorder, Versions, counter_call, page_version
from replog_api.admission.auth import Rights
from replog_api.admission.limits import LONG_LIST_COST
from replog_api.http.request_context import context_of
from replog_api.queries.query_runner import timed
from replog_api.queries.responses import Answer, Steps, listed, long_list, paged

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.rows import StoredRecord
    from replog_api.http.query_values import DetailPageQuery, RecordListQuery, RecordPageQuery
    from replog_api.queries.query_runner import QueryKey, QueryRunner

#: Pages whose records are remembered, so that their version is one small read.
KEPT_PAGES = 256


class TaskEndpoints:
    """Answers about tasks; one instance a process."""

    def __init__(self, connection: CommandRunner, runner: QueryRunner) -> None:
        self._connection = connection
        self._runner = runner
        self._versions = Versions(connection)
        self._known: dict[QueryKey, TaskPage] = {}

    async def list_records(self, request: Request, query: RecordListQuery) -> Response:
        """Endpoint 1: all records of a task."""
        key = query.task_key
        Rights.check_task(context_of(request.scope).prefix, key)
        query_key = self._runner.query_key(request, "list_records", key)

        async def version() -> bytes | None:
            if query_key in self._known:
                return await self.version(query_key, key)
            return (await self._versions.whole_task(key))[0]

        # A long list is read while it is sent, to one client.
        return await self._runner.answer(
            request, query_key, version, lambda: self._all(request, query_key, key), share=False
        )

    async def page_records(self, request: Request, query: RecordPageQuery) -> Response:
        """Endpoint 2: a page of a task's records."""
        key = query.task_key
        Rights.check_task(context_of(request.scope).prefix, key)
        query_key = self._runner.query_key(
            request, "page_records", key, query.page_number, query.page_size, query.status
        )

        async def version() -> bytes | None:
            return await self.version(query_key, key)

        return await self._runner.answer(
            request, query_key, version, lambda: self.page(request, query_key, key, query), wait_s=query.wait_s
        )

    async def version(self, query_key: QueryKey, key: str) -> bytes | None:
        """The version of a page that was answered before; None where it has to be read to be known."""
        return await self._versions.task_page(key, self._known.get(query_key))

    async def page(
        self, request: Request, query_key: QueryKey, key: str, query: RecordPageQuery | DetailPageQuery
    ) -> Answer:
        """A page of a task's records; an empty one where the task is unknown."""
        recorder = VersionRecorder(self._connection, counter_call(self._connection.prefix, key))
        with timed("page_records"):
            page = await Reader(recorder).record_page(key, query.status, query.offset, query.page_size)
        page = page or Page(0, [])
        version = self._remember(query_key, recorder, page.total)
        return paged(version, query, page, self._runner.renderer(request))

    async def _all(self, request: Request, query_key: QueryKey, key: str) -> Answer:
        recorder = VersionRecorder(self._connection, counter_call(self._connection.prefix, key))
        steps = Reader(recorder).records(key)
        with timed("list_records"):
            first: list[StoredRecord] = await anext(steps, [])
            second = await anext(steps, None)
        if second is None:
            version = self._remember(query_key, recorder, len(recorder.rows))
            return listed(version, first, self._runner.renderer(request))
        return await self._long(request, key)

    async def _long(self, request: Request, key: str) -> Answer:
        self._runner.charge(request, LONG_LIST_COST)
        # The version first, and all rows after it.
        version, may_change = await self._versions.whole_task(key)
        as_of_ms, until_ms = self._runner.list_until(may_change=may_change)
        steps = Reader(self._connection).records(key)
        # Read before anything is sent, so that a store that is down still gets its own status.
        rows = Steps(await anext(steps, []), steps)
        return long_list(version, until_ms, rows, self._runner.renderer(request, as_of_ms))

    def _remember(self, query_key: QueryKey, recorder: VersionRecorder, total: int) -> bytes:
        """The version of what was just read."""
        self._known.pop(query_key, None)
        # An empty page says nothing that a list which was emptied and filled again could be told by.
        if recorder.reply is not None and recorder.rows:
            self._known[query_key] = TaskPage(recorder.reply, total, tuple(row.key for row in recorder.rows))
            if len(self._known) > KEPT_PAGES:
                del self._known[next(iter(self._known))]
        return page_version(recorder.reply, total, recorder.rows)
