"""The endpoint that exports a record's details as a file, in constant memory."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import TYPE_CHECKING

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from replog.store.format.rows import raw_details
from replog.store.read.filters import NO_FILTER
from replog_api.admission.limits import LONG_LIST_COST
from replog_api.http.request_context import context_of
from replog_api.queries.export_formats import FORMATS
from replog_api.queries.query_runner import Timed
from replog_api.queries.responses import Answer, LongResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from replog.store.format.rows import StoredDetail
    from replog.store.read.record_queries import RecordQueries
    from replog.store.read.results import VersionedSteps
    from replog_api.admission.auth import Rights
    from replog_api.http.query_values import DetailExportQuery
    from replog_api.queries.query_runner import QueryRunner
    from replog_api.queries.render import Renderer

#: What a name of a file may have everywhere; of an id, the rest becomes ``_``.
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class DetailExportEndpoint:
    """One instance a process."""

    def __init__(self, queries: RecordQueries, runner: QueryRunner, rights: Rights) -> None:
        self._queries = queries
        self._runner = runner
        self._rights = rights

    async def export_details(self, request: Request, query: DetailExportQuery) -> Response:
        """All details that match, newest first; no rows where the record is unknown."""
        await self._rights.check_record(context_of(request.scope).prefix, query.record_id)
        query_key = self._runner.query_key(request, "export_details", query.record_id, query.format, *query.filter)

        async def version() -> bytes:
            return await self._queries.record_version(query.record_id)

        # Rows are read while they are sent, to one client.
        return await self._runner.answer(request, query_key, version, lambda: self._find(request, query), share=False)

    async def _find(self, request: Request, query: DetailExportQuery) -> Answer:
        self._runner.charge(request, LONG_LIST_COST)
        async with self._runner.searching(request) if query.filter != NO_FILTER else nullcontext():
            with Timed("export_details"):
                details = await self._queries.export_details(query.record_id, query.filter)
        as_of_ms, until_ms = self._runner.list_until(may_change=details.may_change)
        renderer = self._runner.renderer(request, as_of_ms)
        name = file_name(query)

        def respond(request: Request, headers: dict[str, str]) -> Response:
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
            media_type = FORMATS[query.format].media_type
            return LongResponse(_body(details, query, renderer), headers=headers, media_type=media_type)

        return Answer(details.version, until_ms, respond)


def file_name(query: DetailExportQuery) -> str:
    """Under which name browsers keep an export: letters, digits, dot, hyphen and underscore, whatever the id is."""
    return f"record-{_UNSAFE.sub('_', query.record_id)}.{query.format}"


async def _body(
    details: VersionedSteps[StoredDetail], query: DetailExportQuery, renderer: Renderer
) -> AsyncIterator[bytes]:
    shape, number = FORMATS[query.format], len(details.first)
    yield shape.head() + shape.rows(renderer.detail_objects(raw_details(details.first)))
    if details.others:
        async for step in details.others:
            number += len(step)
            yield shape.rows(renderer.detail_objects(raw_details(step)))
    yield shape.end(number)
