"""The endpoints of the query API."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response, StreamingResponse

from replog_api import documentation as doc
from replog_api import messages, metrics, parameters, render
from replog_api.access import Rights
from replog_api.envelope import HEAD, JSON, answer, tail
from replog_api.links import links
from replog_api.problems import UNKNOWN_RECORD, RefusedError
from replog_api.visit import visit_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator

    from replog.settings import ApiSettings
    from replog.store.filters import DetailFilter
    from replog.store.reader import Page, Reader
    from replog.store.rows import StoredDetail, StoredRecord
    from replog_api.parameters import Window

BASE = "/replication/api/task/record"


class PlainRoute(APIRoute):
    """A documented route that calls its endpoint with nothing in between.

    FastAPI's solving of parameters costs more than the answer itself.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself."""
        return self.endpoint


class Endpoints:
    """Answers from ``reader``; one instance a process."""

    def __init__(self, reader: Reader, rights: Rights, settings: ApiSettings) -> None:
        self._reader = reader
        self._rights = rights
        self._stale_after_s = settings.stale_after_s

    def router(self) -> APIRouter:
        """The routes, documented."""
        router = APIRouter(prefix=BASE, route_class=PlainRoute)
        for path, endpoint, documented in (
            ("/list/{key}", self.list_records, doc.LIST_RECORDS),
            ("/page/{key}", self.page_records, doc.PAGE_RECORDS),
            ("/detail/list/{recordId}", self.list_details, doc.LIST_DETAILS),
            ("/detail/page/{recordId}", self.page_details, doc.PAGE_DETAILS),
            ("/overview/{recordId}", self.overview, doc.OVERVIEW),
            ("/{recordId}", self.record, doc.RECORD),
        ):
            router.add_api_route(path, endpoint, **documented)
        return router

    async def list_records(self, request: Request) -> Response:
        """Endpoint 1: all records of a task."""
        key = self._task(request)
        renderer = self._renderer(request)
        return await _listed(request, "list_records", self._reader.records(key), renderer.record)

    async def page_records(self, request: Request) -> Response:
        """Endpoint 2: a page of a task's records."""
        key = self._task(request)
        window, status = parameters.window(request.query_params), parameters.status(request.query_params)
        return await self._record_page(request, key, status, window)

    async def list_details(self, request: Request) -> Response:
        """Endpoint 3: all details of a record."""
        record_id = await self._record_id(request)
        renderer = self._renderer(request)
        return await _listed(request, "list_details", self._reader.details(record_id), renderer.detail)

    async def page_details(self, request: Request) -> Response:
        """Endpoint 4: a page of a record's details; of a task's records where no such record exists."""
        record_id = parameters.path_id(request, "recordId")
        window, flt = parameters.window(request.query_params), parameters.detail_filter(request.query_params)
        page = await self._detail_page(visit_of(request.scope).prefix, record_id, flt, window)
        if page is None:
            Rights.check_task(visit_of(request.scope).prefix, record_id)
            return await self._record_page(request, record_id, flt.status, window)
        return _paged(request, window, page.total, map(self._renderer(request).detail, page.rows))

    async def record(self, request: Request) -> Response:
        """One record."""
        record_id = await self._record_id(request)
        with _timed("record"):
            record = await self._reader.record(record_id)
        if record is None:
            raise RefusedError(UNKNOWN_RECORD, messages.unknown_record(record_id))
        return answer(request, self._renderer(request).run(record))

    async def overview(self, request: Request) -> Response:
        """A record's roll-up."""
        record_id = await self._record_id(request)
        with _timed("overview"):
            overview = await self._reader.overview(record_id)
        return answer(request, render.overview(overview) if overview else b"null")

    def _task(self, request: Request) -> str:
        """The task key in the path, which may be read."""
        key = parameters.path_id(request, "key")
        Rights.check_task(visit_of(request.scope).prefix, key)
        return key

    async def _record_id(self, request: Request) -> str:
        """The record id in the path, which may be read."""
        record_id = parameters.path_id(request, "recordId")
        await self._rights.check_record(visit_of(request.scope).prefix, record_id)
        return record_id

    async def _detail_page(
        self, prefix: str, record_id: str, flt: DetailFilter, window: Window
    ) -> Page[StoredDetail] | None:
        if not await self._rights.may_read_record(prefix, record_id):
            return None
        with _timed("page_details"):
            return await self._reader.detail_page(record_id, flt, window.offset, window.size)

    async def _record_page(self, request: Request, key: str, status: str, window: Window) -> Response:
        with _timed("page_records"):
            page: Page[StoredRecord] | None = await self._reader.record_page(key, status, window.offset, window.size)
        if page is None:
            return _paged(request, window, 0, ())
        return _paged(request, window, page.total, map(self._renderer(request).record, page.rows))

    def _renderer(self, request: Request) -> render.Renderer:
        zone = visit_of(request.scope).zone
        return render.Renderer(zone, now_ms=time.time_ns() // 1_000_000, stale_after_s=self._stale_after_s)


@contextmanager
def _timed(operation: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        metrics.STORE_SECONDS.labels(operation).observe(time.perf_counter() - began)


def _paged(request: Request, window: Window, total: int, rows: Iterable[bytes]) -> Response:
    headers = {
        "X-Total-Count": str(total),
        "Link": links(request.scope["path"], request.scope["query_string"], window, total),
    }
    return answer(request, render.page(window, total, rows), headers)


async def _listed(
    request: Request, operation: str, steps: AsyncIterator[list[Any]], row: Callable[[Any], bytes]
) -> Response:
    """All rows as one array, sent step by step: memory does not grow with the number of rows."""
    # The first step is read before anything is sent, so that a store that is down still gets its own status.
    with _timed(operation):
        first = await anext(steps, None)

    async def body() -> AsyncIterator[bytes]:
        yield HEAD + b"["
        separator, rows = b"", first
        while rows is not None:
            if rows:
                yield separator + b",".join(map(row, rows))
                separator = b","
            rows = await anext(steps, None)
        yield b"]" + tail(request)

    return StreamingResponse(body(), media_type=JSON)
