"""The routes: which endpoint answers each operation.

To add an endpoint:

1. its parameters: a model in :mod:`replog_api.http.query_values`, which parses and documents them;
2. what it answers: a model in :mod:`replog_api.contracts.schemas`, and an example in ``contracts.openapi.examples``;
3. its declaration: an operation in :mod:`replog_api.contracts.operations`, with path, texts in both languages, errors;
4. the endpoint, ``async def (request, query) -> Response``, in ``queries`` or ``live``, and a line in
   :func:`query_routes`. ``mypy`` compares the type of ``query`` with the model.

``make contracts`` then writes ``docs/openapi.json`` again. A test of the documents fails where an operation has no
route.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from starlette.requests import Request
from starlette.routing import Route

from replog.deadlines import Deadlines
from replog_api.admission.auth import Rights
from replog_api.admission.concurrency import ConcurrencyLimiter
from replog_api.contracts import operations as doc
from replog_api.contracts.openapi.route import OperationRoute
from replog_api.http import messages
from replog_api.http.errors import WRONG_METHOD, RefusedError
from replog_api.http.parameters import Parser
from replog_api.http.presence import WhilePresent
from replog_api.http.query_values import QueryValue
from replog_api.http.request_context import context_of
from replog_api.live.stream import StreamEndpoint
from replog_api.queries.detail_counts import DetailCountsEndpoint
from replog_api.queries.detail_export import DetailExportEndpoint
from replog_api.queries.failure_reasons import FailureReasonsEndpoint
from replog_api.queries.query_runner import or_busy
from replog_api.queries.records import RecordEndpoints
from replog_api.queries.silent_details import SilentDetailsEndpoint
from replog_api.queries.silent_records import SilentRecordsEndpoint
from replog_api.queries.task import TaskEndpoints
from replog_api.queries.task_runs import TaskRunsEndpoint
from replog_api.queries.tasks import TasksEndpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from replog.store.read.queries import StoreQueries
    from replog_api.admission.limits import Limits
    from replog_api.contracts.openapi.operation import Export, Operation, Query, Stream
    from replog_api.live.snapshots import Snapshots
    from replog_api.queries.query_runner import QueryRunner
    from replog_api.service import ServiceEndpoints

Q = TypeVar("Q", bound=QueryValue)


class EndpointRoute(OperationRoute):
    """The route of an operation. Calls its endpoint with nothing in between.

    FastAPI's own handling of a request, which solves dependencies, costs more than most answers. An including router
    would bring it back, so these routes belong to the application's router itself.
    """

    #: FastAPI's own looks for an including router first.
    matches = Route.matches

    def __init__(self, operation: Operation, endpoint: Callable[..., Coroutine[Any, Any, Response]]) -> None:
        super().__init__(operation)
        self.endpoint = endpoint
        self.label = operation.path
        self.methods = set(operation.methods)
        self._methods = frozenset(operation.methods)
        self.app = self._answer
        self._allow = ", ".join(operation.methods)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and leave the route in ``scope`` for the metrics. Raises RefusedError for another method."""
        scope["route"] = self
        method = scope["method"]
        if method not in self._methods:
            raise RefusedError(WRONG_METHOD, messages.wrong_method(method, self._allow), {"Allow": self._allow})
        await self.app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


class QueryRoute(EndpointRoute, Generic[Q]):
    """The route of a query. Parses the request's parameters, once, and calls the endpoint with their value."""

    def __init__(
        self,
        operation: Query[Q] | Export[Q] | Stream[Q],
        endpoint: Callable[[Request, Q], Coroutine[Any, Any, Response]],
    ) -> None:
        super().__init__(operation, endpoint)
        self._parse = Parser(operation.query).parse

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = self._parse(scope["path_params"], scope["query_string"])
        response = await self.endpoint(Request(scope, receive, send), query)
        await response(scope, receive, send)


class ListRoute(QueryRoute[Q]):
    """The route of a list, whose answer may be long: a limited number are under way at once."""

    def __init__(
        self,
        operation: Query[Q] | Export[Q],
        endpoint: Callable[[Request, Q], Coroutine[Any, Any, Response]],
        limiter: ConcurrencyLimiter,
        noticing: Deadlines,
    ) -> None:
        super().__init__(operation, endpoint)
        self._limiter = limiter
        self._noticing = noticing

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            async with WhilePresent(receive, self._noticing):
                await stack.enter_async_context(or_busy(self._limiter, context_of(scope).client))
            await super()._answer(scope, receive, send)


def query_routes(
    queries: StoreQueries, runner: QueryRunner, snapshots: Snapshots, limits: Limits
) -> list[EndpointRoute]:
    """The routes of the queries, which are answered from ``queries``."""
    rights = Rights(queries.records)
    tasks = TaskEndpoints(queries.tasks, runner)
    records = RecordEndpoints(queries.records, runner, rights, tasks)
    stream = StreamEndpoint(runner, rights, snapshots)
    latest = TasksEndpoints(queries.tasks, runner)
    counts = DetailCountsEndpoint(queries.records, runner, rights)
    export = DetailExportEndpoint(queries.records, runner, rights)
    reasons = FailureReasonsEndpoint(queries.records, runner, rights)
    silent_details = SilentDetailsEndpoint(queries.records, runner, rights)
    runs = TaskRunsEndpoint(queries.tasks, runner)
    silent = SilentRecordsEndpoint(queries.tasks, runner)
    lists = ConcurrencyLimiter(limits.most_lists, wait_s=limits.list_wait_s, most_waiting=limits.most_lists_waiting)
    noticing = Deadlines(limits.notice_after_s)
    # Routes are tried in this order: those that dashboards poll most come first.
    return [
        QueryRoute(doc.PAGE_DETAILS, records.page_details),
        QueryRoute(doc.PAGE_RECORDS, tasks.page_records),
        QueryRoute(doc.LATEST_RECORDS, latest.of_keys),
        QueryRoute(doc.OVERVIEW, records.overview),
        QueryRoute(doc.RECORD, records.record),
        QueryRoute(doc.STREAM, stream.stream),
        QueryRoute(doc.PAGE_TASKS, latest.page_tasks),
        QueryRoute(doc.TASK_RUNS, runs.list_runs),
        QueryRoute(doc.PAGE_SILENT, silent.page_silent),
        QueryRoute(doc.COUNT_DETAILS, counts.count_details),
        QueryRoute(doc.FAILURE_REASONS, reasons.list_reasons),
        QueryRoute(doc.SILENT_DETAILS, silent_details.list_silent),
        ListRoute(doc.LIST_RECORDS, tasks.list_records, lists, noticing),
        ListRoute(doc.LIST_DETAILS, records.list_details, lists, noticing),
        ListRoute(doc.EXPORT_DETAILS, export.export_details, lists, noticing),
    ]


def service_routes(service: ServiceEndpoints) -> list[EndpointRoute]:
    """The routes about the service itself."""
    return [
        EndpointRoute(doc.LIVE, service.live),
        EndpointRoute(doc.READY, service.ready),
        EndpointRoute(doc.METRICS, service.metrics),
        EndpointRoute(doc.OPENAPI, service.openapi),
        EndpointRoute(doc.ASYNCAPI, service.asyncapi),
    ]
