"""The endpoint of the reasons why a record's details failed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from replog.lru_cache import LruCache
from replog_api.http.request_context import context_of
from replog_api.queries import render
from replog_api.queries.query_runner import Timed
from replog_api.queries.responses import Answer, single

if TYPE_CHECKING:
    from collections.abc import Callable

    from replog.store.read.record_queries import RecordQueries
    from replog.store.read.results import FailureReasons, Versioned
    from replog_api.admission.auth import Rights
    from replog_api.http.query_values import FailureReasonsQuery
    from replog_api.queries.query_runner import QueryRunner

#: For so many seconds the reasons of a record are kept, whatever part of them is asked for next, as long as its version
#: is the same: an answer that says as of when it is may not be older than it says.
KEPT_S = 30.0
#: Records whose reasons are kept.
KEPT_RECORDS = 64


class _Kept(NamedTuple):
    reasons: Versioned[FailureReasons]
    until_s: float


class FailureReasonsEndpoint:
    """One instance a process; ``clock`` gives monotonic seconds."""

    def __init__(
        self,
        queries: RecordQueries,
        runner: QueryRunner,
        rights: Rights,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queries = queries
        self._runner = runner
        self._rights = rights
        self._clock = clock
        self._kept: LruCache[str, _Kept] = LruCache(KEPT_RECORDS)

    async def list_reasons(self, request: Request, query: FailureReasonsQuery) -> Response:
        """The most frequent reasons; none where the record is unknown."""
        await self._rights.check_record(context_of(request.scope).prefix, query.record_id)
        query_key = self._runner.query_key(request, "list_reasons", query.record_id, query.limit)

        async def version() -> bytes:
            return await self._queries.record_version(query.record_id)

        async def find() -> Answer:
            reasons = await self._reasons(request, query.record_id)
            return single(reasons.version, render.failure_reasons(reasons.data, query.limit))

        return await self._runner.answer(request, query_key, version, find)

    async def _reasons(self, request: Request, record_id: str) -> Versioned[FailureReasons]:
        kept = self._kept.get(record_id)
        is_recent = kept and kept.until_s > self._clock()
        if kept and is_recent and kept.reasons.version == await self._queries.record_version(record_id):
            return kept.reasons
        async with self._runner.searching(request):
            with Timed("list_reasons"):
                reasons = await self._queries.failure_reasons(record_id)
        self._kept.put(record_id, _Kept(reasons, self._clock() + KEPT_S))
        return reasons
