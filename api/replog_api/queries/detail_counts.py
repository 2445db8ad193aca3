"""The endpoint of the numbers of a record's details, by cluster, repository or both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from replog_api.http.request_context import context_of
from replog_api.queries import render
from replog_api.queries.query_runner import Timed
from replog_api.queries.responses import Answer, single

if TYPE_CHECKING:
    from replog.store.read.record_queries import RecordQueries
    from replog_api.admission.auth import Rights
    from replog_api.http.query_values import DetailCountsQuery
    from replog_api.queries.query_runner import QueryRunner


class DetailCountsEndpoint:
    """One instance a process."""

    def __init__(self, queries: RecordQueries, runner: QueryRunner, rights: Rights) -> None:
        self._queries = queries
        self._runner = runner
        self._rights = rights

    async def count_details(self, request: Request, query: DetailCountsQuery) -> Response:
        """The numbers; an empty array where the record is unknown."""
        await self._rights.check_record(context_of(request.scope).prefix, query.record_id)
        query_key = self._runner.query_key(request, "count_details", query.record_id, query.by, query.remote_cluster)

        async def version() -> bytes:
            return await self._queries.record_version(query.record_id)

        async def find() -> Answer:
            with Timed("count_details"):
                counts = await self._queries.detail_counts(query.record_id, query.by, query.remote_cluster)
            return single(counts.version, render.detail_counts(counts.data))

        return await self._runner.answer(request, query_key, version, find)
