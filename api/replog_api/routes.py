"""The paths of the query API, and what answers there."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from starlette.requests import Request
from starlette.routing import Route

from replog_api.admission.auth import Rights
from replog_api.admission.concurrency import ConcurrencyLimiter
from replog_api.contracts import operations as doc
from replog_api.http import messages, parameters
from replog_api.http.errors import WRONG_METHOD, RefusedError
from replog_api.http.presence import WhilePresent
from replog_api.http.request_context import context_of
from replog_api.live.stream import StreamEndpoint
from replog_api.queries.detail_counts import DetailCountsEndpoint
from replog_api.queries.detail_export import DetailExportEndpoint
from replog_api.queries.failure_reasons import FailureReasonsEndpoint
from replog_api.queries.query_runner import or_busy
from replog_api.queries.records import RecordEndpoints
from replog_api.queries.silent_records import SilentRecordsEndpoint
from replog_api.queries.task import TaskEndpoints
from replog_api.queries.task_runs import TaskRunsEndpoint
from replog_api.queries.tasks import TasksEndpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from replog.store.read.queries import StoreQueries
    from replog_api.admission.limits import Limits
    from replog_api.contracts.openapi.operation import Operation
    from replog_api.live.snapshots import Snapshots
    from replog_api.queries.query_runner import QueryRunner
    from replog_api.service import ServiceEndpoints

    Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]

Q = TypeVar("Q")


class PlainRoute(Route):
    """A route for ``methods`` that calls its endpoint with nothing in between.

    FastAPI's own, and the solving of parameters, cost more than the answer itself.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], methods: Sequence[str]) -> None:
        super().__init__(path, endpoint)
        # Starlette adds HEAD everywhere; answers to queries would have to be made whole all the same.
        self.methods = set(methods)
        self._methods = frozenset(methods)
        self.app = self._answer
        self._allow = ", ".join(methods)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and leave behind which route it was."""
        scope["route"] = self
        method = scope["method"]
        if method not in self._methods:
            raise RefusedError(WRONG_METHOD, messages.wrong_method(method, self._allow), {"Allow": self._allow})
        await self.app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


class QueryRoute(PlainRoute, Generic[Q]):
    """A route that parses the query of a request, and calls its endpoint with both."""

    def __init__(
        self,
        operation: Operation,
        parse: Callable[[Request], Q],
        endpoint: Callable[[Request, Q], Coroutine[Any, Any, Response]],
    ) -> None:
        super().__init__(operation.path, endpoint, operation.methods)
        self._parse = parse
        self._query_endpoint = endpoint

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        response = await self._query_endpoint(request, self._parse(request))
        await response(scope, receive, send)


class ListRoute(QueryRoute[Q]):
    """A route whose answer may be long: not too many are under way at once."""

    def __init__(
        self,
        operation: Operation,
        parse: Callable[[Request], Q],
        endpoint: Callable[[Request, Q], Coroutine[Any, Any, Response]],
        places: ConcurrencyLimiter,
        notice_after_s: float,
    ) -> None:
        super().__init__(operation, parse, endpoint)
        self._places = places
        self._notice_after_s = notice_after_s

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            async with WhilePresent(receive, self._notice_after_s):
                await stack.enter_async_context(or_busy(self._places, context_of(scope).client))
            await super()._answer(scope, receive, send)


def query_routes(queries: StoreQueries, runner: QueryRunner, snapshots: Snapshots, limits: Limits) -> list[PlainRoute]:
    """The routes of the queries; they answer from ``queries``."""
    rights = Rights(queries.records)
    tasks = TaskEndpoints(queries.tasks, runner)
    records = RecordEndpoints(queries.records, runner, rights, tasks)
    stream = StreamEndpoint(runner, rights, snapshots)
    latest = TasksEndpoints(queries.tasks, runner)
    counts = DetailCountsEndpoint(queries.records, runner, rights)
    export = DetailExportEndpoint(queries.records, runner, rights)
    reasons = FailureReasonsEndpoint(queries.records, runner, rights)
    runs = TaskRunsEndpoint(queries.tasks, runner)
    silent = SilentRecordsEndpoint(queries.tasks, runner)
    lists = ConcurrencyLimiter(limits.most_lists, wait_s=limits.list_wait_s, most_waiting=limits.most_lists_waiting)
    notice_after_s = limits.notice_after_s
    return [
        ListRoute(doc.LIST_RECORDS, parameters.record_list_query, tasks.list_records, lists, notice_after_s),
        ListRoute(doc.LIST_DETAILS, parameters.detail_list_query, records.list_details, lists, notice_after_s),
        ListRoute(doc.EXPORT_DETAILS, parameters.detail_export_query, export.export_details, lists, notice_after_s),
        QueryRoute(doc.COUNT_DETAILS, parameters.detail_counts_query, counts.count_details),
        QueryRoute(doc.FAILURE_REASONS, parameters.failure_reasons_query, reasons.list_reasons),
        QueryRoute(doc.PAGE_SILENT, parameters.silent_page_query, silent.page_silent),
        QueryRoute(doc.TASK_RUNS, parameters.task_runs_query, runs.list_runs),
        QueryRoute(doc.LATEST_RECORDS, parameters.latest_query, latest.of_keys),
        QueryRoute(doc.PAGE_TASKS, parameters.task_page_query, latest.page_tasks),
        QueryRoute(doc.PAGE_RECORDS, parameters.record_page_query, tasks.page_records),
        QueryRoute(doc.PAGE_DETAILS, parameters.detail_page_query, records.page_details),
        QueryRoute(doc.OVERVIEW, parameters.overview_query, records.overview),
        QueryRoute(doc.STREAM, parameters.stream_query, stream.stream),
        QueryRoute(doc.RECORD, parameters.record_query, records.record),
    ]


def service_routes(service: ServiceEndpoints) -> list[PlainRoute]:
    """The routes about the service itself."""
    endpoints: Mapping[Operation, Endpoint] = {
        doc.LIVE: service.live,
        doc.READY: service.ready,
        doc.METRICS: service.metrics,
        doc.OPENAPI: service.openapi,
        doc.ASYNCAPI: service.asyncapi,
    }
    # What OpenAPI says of them is put together from the operations (contracts.py).
    return [PlainRoute(operation.path, endpoint, operation.methods) for operation, endpoint in endpoints.items()]
