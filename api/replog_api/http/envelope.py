"""The envelope of every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orjson import dumps
from starlette.responses import Response

from replog_api.http.languages import preferred
from replog_api.http.request_context import context_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from replog_api.http.languages import Text

JSON = "application/json"
#: The types of exports, which have no envelope.
CSV, NDJSON = "text/csv; charset=utf-8", "application/x-ndjson"
#: The part of a good answer before its data.
HEAD = b'{"code":0,"message":null,"data":'


def tail(request: Request) -> bytes:
    """The part of an answer after its data."""
    return b',"traceId":"%b"}' % context_of(request.scope).trace_id.encode()


def answer(request: Request, data: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """``data`` (JSON) as a good answer."""
    # Joined once: data may be long.
    return Response(b"".join((HEAD, data, tail(request))), headers=headers, media_type=JSON)


def refusal(
    request: Request, http_status: int, code: int, text: Text, headers: Mapping[str, str] | None = None
) -> Response:
    """An error of docs/api.md, in the language that the client prefers."""
    language = preferred(context_of(request.scope).accept_language)
    body = b'{"code":%d,"message":%b,"data":null' % (code, dumps(text.in_language(language))) + tail(request)
    return Response(body, http_status, {**(headers or {}), "Content-Language": language}, JSON)
