"""The paths of the query API, and what answers there."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.routing import Route

from replog_api.admission.auth import Rights
from replog_api.admission.concurrency import ConcurrencyLimiter
from replog_api.contracts import operations as doc
from replog_api.http import messages
from replog_api.http.errors import WRONG_METHOD, RefusedError
from replog_api.http.presence import WhilePresent
from replog_api.http.request_context import context_of
from replog_api.live.stream import StreamEndpoint
from replog_api.queries.query_runner import or_busy
from replog_api.queries.records import RecordEndpoints
from replog_api.queries.task import TaskEndpoints
from replog_api.queries.tasks import TasksEndpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from replog.store.client.pipelining import CommandRunner
    from replog_api.admission.limits import Limits
    from replog_api.contracts.openapi.operation import Operation
    from replog_api.live.snapshots import Snapshots
    from replog_api.queries.query_runner import QueryRunner
    from replog_api.service import ServiceEndpoints

    Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


class PlainRoute(Route):
    """A route for ``methods`` that calls its endpoint with nothing in between.

    FastAPI's own, and the solving of parameters, cost more than the answer itself.
    """

    def __init__(self, path: str, endpoint: Endpoint, methods: Sequence[str]) -> None:
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


class ListRoute(PlainRoute):
    """A route whose answer may be long: not too many are under way at once."""

    def __init__(
        self, operation: Operation, endpoint: Endpoint, places: ConcurrencyLimiter, notice_after_s: float
    ) -> None:
        super().__init__(operation.path, endpoint, operation.methods)
        self._places = places
        self._notice_after_s = notice_after_s

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            async with WhilePresent(receive, self._notice_after_s):
                await stack.enter_async_context(or_busy(self._places, context_of(scope).client))
            await super()._answer(scope, receive, send)


def query_routes(connection: CommandRunner, runner: QueryRunner, sights: Snapshots, limits: Limits) -> list[PlainRoute]:
    """The routes of the queries; they answer from what ``connection`` leads to."""
    rights = Rights(connection)
    tasks = TaskEndpoints(connection, runner)
    records = RecordEndpoints(connection, runner, rights, tasks)
    stream = StreamEndpoint(runner, rights, sights)
    latest = TasksEndpoints(connection, runner)
    lists = ConcurrencyLimiter(limits.most_lists, wait_s=limits.list_wait_s, most_waiting=limits.most_lists_waiting)
    long_ones = {doc.LIST_RECORDS: tasks.list_records, doc.LIST_DETAILS: records.list_details}
    return [
        ListRoute(operation, endpoint, lists, limits.notice_after_s) for operation, endpoint in long_ones.items()
    ] + _routes(
        {
            doc.LATEST_RECORDS: latest.of_keys,
            doc.PAGE_TASKS: latest.page_tasks,
            doc.PAGE_RECORDS: tasks.page_records,
            doc.PAGE_DETAILS: records.page_details,
            doc.OVERVIEW: records.overview,
            doc.STREAM: stream.stream,
            doc.RECORD: records.record,
        }
    )


def service_routes(service: ServiceEndpoints) -> list[PlainRoute]:
    """The routes about the service itself."""
    return _routes(
        {
            doc.LIVE: service.live,
            doc.READY: service.ready,
            doc.METRICS: service.metrics,
            doc.OPENAPI: service.openapi,
            doc.ASYNCAPI: service.asyncapi,
        }
    )


def _routes(endpoints: Mapping[Operation, Endpoint]) -> list[PlainRoute]:
    # What OpenAPI says of them is put together from the operations (contracts.py).
    return [PlainRoute(operation.path, endpoint, operation.methods) for operation, endpoint in endpoints.items()]
