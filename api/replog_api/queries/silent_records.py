"""The endpoint of RUNNING records that are silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from replog_api.admission.auth import Rights
from replog_api.http.request_context import context_of
from replog_api.queries.query_runner import Timed
from replog_api.queries.responses import Answer, paged

if TYPE_CHECKING:
    from replog.store.read.task_queries import TaskQueries
    from replog_api.http.query_values import SilentPageQuery
    from replog_api.queries.query_runner import QueryRunner


class SilentRecordsEndpoint:
    """One instance a process."""

    def __init__(self, queries: TaskQueries, runner: QueryRunner) -> None:
        self._queries = queries
        self._runner = runner

    async def page_silent(self, request: Request, query: SilentPageQuery) -> Response:
        """A page; a token that is limited to a prefix knows the records of its own tasks alone."""
        prefix = Rights.readable(context_of(request.scope).prefix, query.prefix)
        query_key = self._runner.query_key(
            request, "page_silent", prefix, query.silent_for_s, query.page_number, query.page_size
        )

        async def version() -> None:
            """Time alone changes the answer, and no counter says whether it has."""

        async def find() -> Answer:
            now_ms = self._runner.now_ms()
            async with self._runner.searching(request):
                with Timed("page_silent"):
                    page = await self._queries.silent_records(
                        now_ms=now_ms,
                        silent_for_s=query.silent_for_s,
                        offset=query.offset,
                        limit=query.page_size,
                        prefix=prefix,
                    )
            return paged(query, page, self._runner.renderer(request, now_ms))

        return await self._runner.answer(request, query_key, version, find)
