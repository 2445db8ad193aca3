"""The envelope every answer comes in, and the trace id it carries."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from orjson import dumps
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

JSON = "application/json"
#: What stands before the data of a good answer.
HEAD = b'{"code":0,"message":null,"data":'

# Version ff is none, and ids of zeros are invalid.
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def trace_id(request: Request) -> str:
    """The W3C trace id of the request: from ``traceparent``, else made here; the same for one request always."""
    state = request.scope.setdefault("state", {})
    if "trace_id" not in state:
        state["trace_id"] = _given_trace(request.headers.get("traceparent", "")) or os.urandom(16).hex()
    return str(state["trace_id"])


def _given_trace(header: str) -> str | None:
    match = _TRACEPARENT.fullmatch(header)
    if match is None:
        return None
    version, trace, more = match.groups()
    # Only versions to come may say more than version 00 does.
    return None if version == "00" and more else trace


def tail(request: Request) -> bytes:
    """What stands behind the data."""
    return b',"traceId":"%b"}' % trace_id(request).encode()


def answer(request: Request, data: bytes) -> Response:
    """``data`` (JSON) as a good answer."""
    return Response(HEAD + data + tail(request), media_type=JSON)


def refusal(
    request: Request, http_status: int, code: int, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An error of docs/api.md."""
    body = b'{"code":%d,"message":%b,"data":null' % (code, dumps(message)) + tail(request)
    return Response(body, http_status, headers, JSON)
