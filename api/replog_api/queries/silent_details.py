"""The endpoint of the details that a record waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from replog_api.http.request_context import context_of
from replog_api.queries.query_runner import Timed
from replog_api.queries.responses import Answer, single

if TYPE_CHECKING:
    from replog.store.read.record_queries import RecordQueries
    from replog_api.admission.auth import Rights
    from replog_api.http.query_values import SilentDetailsQuery
    from replog_api.queries.query_runner import QueryRunner


class SilentDetailsEndpoint:
    """One instance a process."""

    def __init__(self, queries: RecordQueries, runner: QueryRunner, rights: Rights) -> None:
        self._queries = queries
        self._runner = runner
        self._rights = rights

    async def list_silent(self, request: Request, query: SilentDetailsQuery) -> Response:
        """The RUNNING details that are silent longest; none where the record is unknown."""
        await self._rights.check_record(context_of(request.scope).prefix, query.record_id)
        query_key = self._runner.query_key(request, "list_silent", query.record_id, query.limit)

        async def version() -> bytes:
            return await self._queries.record_version(query.record_id)

        async def find() -> Answer:
            async with self._runner.searching(request):
                with Timed("list_silent"):
                    found = await self._queries.silent_details(query.record_id, query.limit)
            renderer = self._runner.renderer(request)
            data = renderer.silent_details(found.data)
            return single(found.version, data, renderer.until_ms)

        return await self._runner.answer(request, query_key, version, find)
