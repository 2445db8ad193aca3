"""The paths of the query API, and what answers there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.routing import APIRoute

from replog_api import documentation as doc
from replog_api.access import Rights
from replog_api.answering import Answering
from replog_api.latest_endpoints import LatestEndpoints
from replog_api.record_endpoints import RecordEndpoints
from replog_api.stream import StreamEndpoint
from replog_api.task_endpoints import TaskEndpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.requests import Request
    from starlette.responses import Response

    from replog.settings import ApiSettings
    from replog.store.sharing import Runs
    from replog_api.watchers import Watchers

TASKS = "/replication/api/task"
RECORDS = f"{TASKS}/record"


class PlainRoute(APIRoute):
    """A documented route that calls its endpoint with nothing in between.

    FastAPI's solving of parameters costs more than the answer itself.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself."""
        return self.endpoint


def query_routes(connection: Runs, settings: ApiSettings, watchers: Watchers) -> APIRouter:
    """The routes, documented; they answer from what ``connection`` leads to."""
    answering, rights = Answering(settings, watchers), Rights(connection)
    tasks = TaskEndpoints(connection, answering)
    records = RecordEndpoints(connection, answering, rights, tasks)
    stream = StreamEndpoint(connection, answering, rights, watchers)
    latest = LatestEndpoints(connection, answering)
    router = APIRouter(route_class=PlainRoute)
    for path, endpoint, documented in (
        (f"{TASKS}/latest", latest.of_keys, doc.LATEST_RECORDS),
        (f"{TASKS}/list", latest.page_tasks, doc.PAGE_TASKS),
        (f"{RECORDS}/list/{{key}}", tasks.list_records, doc.LIST_RECORDS),
        (f"{RECORDS}/page/{{key}}", tasks.page_records, doc.PAGE_RECORDS),
        (f"{RECORDS}/detail/list/{{recordId}}", records.list_details, doc.LIST_DETAILS),
        (f"{RECORDS}/detail/page/{{recordId}}", records.page_details, doc.PAGE_DETAILS),
        (f"{RECORDS}/overview/{{recordId}}", records.overview, doc.OVERVIEW),
        (f"{RECORDS}/stream/{{recordId}}", stream.stream, doc.STREAM),
        (f"{RECORDS}/{{recordId}}", records.record, doc.RECORD),
    ):
        router.add_api_route(path, endpoint, **documented)
    return router
