"""Every error as an answer of the error table (docs/api.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from replog.errors import InvalidParameterError, StoreUnavailable
from replog.telemetry import logger
from replog_api.envelope import refusal, trace_id

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

MISSING_PARAMETER = 250103
INVALID_PARAMETER = 250131
UNKNOWN_RECORD = 250310
UNKNOWN_URL = 250130
WRONG_METHOD = 250112
UNEXPECTED = 250102

#: Seconds after which a client may try again when the store does not answer.
RETRY_AFTER_S = 2


class UnknownRecordError(Exception):
    """``GET /{recordId}`` of a record that no event told of."""


def install(app: FastAPI) -> None:
    """Let ``app`` answer every error in the envelope."""
    handlers: list[tuple[Any, Any]] = [
        (InvalidParameterError, _invalid_parameter),
        (UnknownRecordError, _unknown_record),
        (StoreUnavailable, _store_unavailable),
        (HTTPException, _http),
        (Exception, _unexpected),
    ]
    for error, handler in handlers:
        app.add_exception_handler(error, handler)


async def _invalid_parameter(request: Request, error: InvalidParameterError) -> Response:
    return refusal(request, 400, MISSING_PARAMETER if error.missing else INVALID_PARAMETER, str(error))


async def _unknown_record(request: Request, error: UnknownRecordError) -> Response:
    return refusal(request, 400, UNKNOWN_RECORD, str(error))


async def _store_unavailable(request: Request, error: StoreUnavailable) -> Response:
    logger().warning("store_unavailable", error=str(error), kind=error.kind, trace_id=trace_id(request))
    message = "the store does not answer; try again"
    return refusal(request, 503, UNEXPECTED, message, {"Retry-After": str(RETRY_AFTER_S)})


async def _http(request: Request, error: HTTPException) -> Response:
    if error.status_code == 405:  # noqa: PLR2004 - the status is its own name
        message = f"{request.method} is not allowed here; allowed: GET"
        return refusal(request, 405, WRONG_METHOD, message, error.headers)
    if error.status_code == 404:  # noqa: PLR2004 - the status is its own name
        return refusal(request, 404, UNKNOWN_URL, f"nothing is served at {request.scope['path']}")
    return refusal(request, error.status_code, UNEXPECTED, error.detail, error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    logger().error("request_failed", path=request.scope["path"], trace_id=trace_id(request), exc_info=error)
    return refusal(request, 500, UNEXPECTED, "something unexpected went wrong; the service's log knows the trace id")
