"""What is answered: one thing, a page or a list, with what tells whether it is still so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from replog.errors import StoreUnavailable
from replog.store.format.rows import StoredRecord, StoredTask
from replog.store.read.silent_records import SilentRecord
from replog.store.read.task_runs import TaskRuns
from replog.store.read.versions import digest_version
from replog.telemetry import logger
from replog_api.http.envelope import HEAD, JSON, answer, tail
from replog_api.http.request_context import BREAK_OFF, context_of
from replog_api.queries import render
from replog_api.queries.links import links

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.types import Receive, Scope, Send

    from replog.store.read.reader import Page
    from replog.store.read.task_pages import TaskRows
    from replog_api.http.query_values import PageQuery

#: How an answer is given to one request, with these headers.
Respond = Callable[[Request, dict[str, str]], Response]


class Answer(NamedTuple):
    """An answer: the version of what it says, until when it is good as far as time counts, and how it is given."""

    version: bytes
    until_ms: int | None
    respond: Respond
    #: Bytes of the data, where they are known.
    size: int = 0


class Steps(NamedTuple):
    """The rows of a list, as they are read."""

    first: Sequence[Any]
    others: AsyncIterator[Sequence[Any]]


def paged(version: bytes, query: PageQuery, page: Page[Any] | TaskRows, renderer: render.Renderer) -> Answer:
    """A page."""
    return _paged(version, query, page.total, _page_data(query, page, renderer), renderer.until_ms)


def paged_by_content(query: PageQuery, page: Page[Any], renderer: render.Renderer) -> Answer:
    """A page whose version is what it says."""
    data = _page_data(query, page, renderer)
    return _paged(digest_version(data), query, page.total, data, renderer.until_ms)


def _page_data(query: PageQuery, page: Page[Any] | TaskRows, renderer: render.Renderer) -> bytes:
    return render.page(query, page.total, _rendered(page.rows, renderer))


def _paged(version: bytes, query: PageQuery, total: int, data: bytes, until_ms: int | None) -> Answer:
    def respond(request: Request, headers: dict[str, str]) -> Response:
        headers["X-Total-Count"] = str(total)
        link = links(request.scope["path"], request.scope["query_string"], query, total)
        if link:
            headers["Link"] = link
        return answer(request, data, headers)

    return Answer(version, until_ms, respond, len(data))


def listed(version: bytes, rows: Sequence[Any], renderer: render.Renderer) -> Answer:
    """All rows, where they are known."""
    return single(version, b"[%b]" % b",".join(_rendered(rows, renderer)), renderer.until_ms)


def single(version: bytes, data: bytes, until_ms: int | None = None) -> Answer:
    """One thing."""
    return Answer(version, until_ms, lambda request, headers: answer(request, data, headers), len(data))


def long_list(version: bytes, until_ms: int | None, steps: Steps, renderer: render.Renderer) -> Answer:
    """All rows as one array, sent step by step: memory does not grow with the number of rows. Can be given once."""

    async def body(request: Request) -> AsyncIterator[bytes]:
        yield HEAD + b"[" + b",".join(_rendered(steps.first, renderer))
        async for rows in steps.others:
            yield b"".join([b"," + row for row in _rendered(rows, renderer)])
        yield b"]" + tail(request)

    def respond(request: Request, headers: dict[str, str]) -> Response:
        return LongResponse(body(request), headers=headers, media_type=JSON)

    return Answer(version, until_ms, respond)


class LongResponse(StreamingResponse):
    """A body that is broken off where the store fails in its middle: the client sees that it is incomplete."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        except StoreUnavailable as error:
            if BREAK_OFF not in scope:
                raise
            trace_id = context_of(scope).trace_id
            logger().warning("list_broken_off", error=str(error), kind=error.kind, trace_id=trace_id)
            scope[BREAK_OFF]()


def _rendered(rows: Sequence[Any], renderer: render.Renderer) -> list[bytes]:
    row: Callable[[Any], bytes]
    match rows:
        case [StoredRecord(), *_]:
            row = renderer.record
        case [StoredTask(), *_]:
            row = renderer.task
        case [SilentRecord(), *_]:
            row = renderer.silent
        case [TaskRuns(), *_]:
            row = renderer.task_runs
        case _:
            row = renderer.detail
    return [row(stored) for stored in rows]
