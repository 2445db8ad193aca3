"""Answers: a value, a page or a list, as it is sent to one client or to many."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from replog.errors import StoreUnavailable
from replog.store.format.rows import StoredDetail, StoredRecord, StoredTask, raw_details
from replog.store.read.results import SilentRecord
from replog.telemetry import logger
from replog_api.http.envelope import HEAD, JSON, answer, tail
from replog_api.http.request_context import BREAK_OFF, context_of
from replog_api.queries import render
from replog_api.queries.links import links

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.types import Receive, Scope, Send

    from replog.store.read.results import Page, Versioned, VersionedSteps
    from replog_api.http.query_values import PageQuery

#: Makes the response to one request out of an answer, with these headers.
Respond = Callable[[Request, dict[str, str]], Response]


class Answer(NamedTuple):
    """An answer, of which responses are made.

    ``version`` is that of its data. ``until_ms`` is when time alone changes it; None for never.
    """

    version: bytes
    until_ms: int | None
    respond: Respond
    #: Bytes of the data, where they are known.
    size: int = 0


def paged(query: PageQuery, page: Versioned[Page[Any]], renderer: render.Renderer) -> Answer:
    """A page."""
    total = page.data.total
    data = render.page(query, total, _array(page.data.rows, renderer))

    def respond(request: Request, headers: dict[str, str]) -> Response:
        headers["X-Total-Count"] = str(total)
        link = links(request.scope["path"], request.scope["query_string"], query, total)
        if link:
            headers["Link"] = link
        return answer(request, data, headers)

    return Answer(page.version, renderer.until_ms, respond, len(data))


def listed(version: bytes, rows: Sequence[Any], renderer: render.Renderer) -> Answer:
    """All rows of a list, in one body."""
    return single(version, _array(rows, renderer), renderer.until_ms)


def single(version: bytes, data: bytes, until_ms: int | None = None) -> Answer:
    """One JSON value."""
    return Answer(version, until_ms, lambda request, headers: answer(request, data, headers), len(data))


def long_list(rows: VersionedSteps[Any], until_ms: int | None, renderer: render.Renderer) -> Answer:
    """All rows as one array, sent step by step: memory does not grow with their number. Makes one response only."""

    async def body(request: Request) -> AsyncIterator[bytes]:
        # An array without its end goes on.
        yield HEAD + _array(rows.first, renderer)[:-1]
        if rows.others is not None:
            async for step in rows.others:
                if step:
                    yield b"," + _array(step, renderer)[1:-1]
        yield b"]" + tail(request)

    def respond(request: Request, headers: dict[str, str]) -> Response:
        return LongResponse(body(request), headers=headers, media_type=JSON)

    return Answer(rows.version, until_ms, respond)


class LongResponse(StreamingResponse):
    """A response that is cut off where the store fails in its middle: the client sees that it is incomplete."""

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


def _array(rows: Sequence[Any], renderer: render.Renderer) -> bytes:
    """The rows as a JSON array."""
    row: Callable[[Any], bytes]
    match rows:
        case [StoredDetail(), *_]:
            return renderer.details(raw_details(rows))
        case [StoredRecord(), *_]:
            row = renderer.record
        case [StoredTask(), *_]:
            row = renderer.task
        case [SilentRecord(), *_]:
            row = renderer.silent
        case _:
            row = renderer.task_runs
    return b"[%b]" % b",".join([row(stored) for stored in rows])
