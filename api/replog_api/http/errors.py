"""The error table (docs/api.md), and the answers to errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.responses import Response

from replog.errors import BUSY, ReplogError, StoreUnavailable
from replog.telemetry import logger
from replog_api.http import messages
from replog_api.http.envelope import refusal
from replog_api.http.languages import Text
from replog_api.http.presence import ClientLeftError
from replog_api.http.request_context import context_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

    from replog_api.http.store_trouble import StoreTrouble


class Problem(NamedTuple):
    """A line of the error table."""

    status: int
    code: int


MISSING_PARAMETER = Problem(400, 250103)
INVALID_PARAMETER = Problem(400, 250131)
UNKNOWN_RECORD = Problem(400, 250310)
UNAUTHENTICATED = Problem(401, 250114)
FORBIDDEN = Problem(403, 250113)
UNKNOWN_URL = Problem(404, 250130)
WRONG_METHOD = Problem(405, 250112)
MISDIRECTED = Problem(421, 250131)
TOO_MANY_REQUESTS = Problem(429, 250124)
INVALID_REQUEST = Problem(400, 250131)
URL_TOO_LONG = Problem(414, 250131)
HEADERS_TOO_LARGE = Problem(431, 250131)
UNEXPECTED = Problem(500, 250102)
STORE_UNAVAILABLE = Problem(503, 250102)
TOO_MANY_WAITING_CLIENTS = Problem(503, 250102)

#: Status in the metrics where the client left before its answer, as in nginx's logs.
CLIENT_LEFT_STATUS = 499
#: Seconds after which a client may try again when the store does not answer.
RETRY_AFTER_S = 2


class RefusedError(ReplogError):
    """A request is refused with ``problem``. ``text`` is the message for the client, ``headers`` go with it."""

    def __init__(self, problem: Problem, text: Text, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text.english)
        self.problem = problem
        self.text = text
        self.headers = headers


def install(app: FastAPI, trouble: StoreTrouble) -> None:
    """Have ``app`` answer every error in the envelope."""

    async def store_unavailable(request: Request, error: StoreUnavailable) -> Response:
        context = context_of(request.scope)
        context.store_trouble = error.kind
        trouble.failed(error, context.trace_id)
        text = messages.BUSY if error.kind == BUSY else messages.STORE_UNAVAILABLE
        return refusal(request, *STORE_UNAVAILABLE, text, {"Retry-After": str(RETRY_AFTER_S)})

    handlers: list[tuple[Any, Any]] = [
        (RefusedError, _refused),
        (StoreUnavailable, store_unavailable),
        (ClientLeftError, _client_left),
        (HTTPException, _http),
        (Exception, _unexpected),
    ]
    for error, handler in handlers:
        app.add_exception_handler(error, handler)


def refused(request: Request, error: RefusedError) -> Response:
    """The answer to a request that is refused."""
    return refusal(request, *error.problem, error.text, error.headers)


async def _refused(request: Request, error: RefusedError) -> Response:
    return refused(request, error)


async def _client_left(request: Request, error: ClientLeftError) -> Response:
    return Response(status_code=CLIENT_LEFT_STATUS)


async def _http(request: Request, error: HTTPException) -> Response:
    if error.status_code == UNKNOWN_URL.status:
        return refusal(request, *UNKNOWN_URL, messages.unknown_url(request.scope["path"]))
    text = Text(error.detail, error.detail)
    return refusal(request, error.status_code, UNEXPECTED.code, text, error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    trace_id = context_of(request.scope).trace_id
    logger().error("request_failed", path=request.scope["path"], trace_id=trace_id, exc_info=error)
    return refusal(request, *UNEXPECTED, messages.UNEXPECTED)
