"""Spans of requests: each continues the trace that the request's ``traceparent`` names, or begins one."""

from __future__ import annotations

from http.client import INTERNAL_SERVER_ERROR
from typing import TYPE_CHECKING

from replog.tracing.traceparent import TRACEPARENT, parse
from replog_api.observability.sent_status import SentStatus

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from replog.tracing.tracer import Tracer

_HEADER = TRACEPARENT.encode()
#: Any other method is recorded as ``_OTHER``: names of spans are few.
_METHODS = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))


class Traced:
    """Records requests with ``tracer``, except those of ``untraced`` paths.

    The request goes on with its span in ``traceparent``, so that its answer has the id of its trace.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer, *, untraced: frozenset[str]) -> None:
        self._app = app
        self._tracer = tracer
        self._untraced = untraced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and record it."""
        if scope["type"] != "http" or scope["path"] in self._untraced:
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        given = [value for name, value in scope["headers"] if name == _HEADER]
        parent = parse(given[-1].decode("latin-1").strip()) if given else None
        attributes = {"http.request.method": method, "url.scheme": scope["scheme"], "url.path": scope["path"]}
        span = self._tracer.begin(method, "SERVER", attributes, parent=parent)
        scope["headers"] = [*scope["headers"], (_HEADER, str(span.parent).encode())]
        sent = SentStatus(send, unsent=0)
        error: str | None = "cancelled"
        try:
            await self._app(scope, receive, sent)
            error = f"HTTP {sent.status}" if sent.status >= INTERNAL_SERVER_ERROR else None
        except Exception as raised:
            error = repr(raised)
            raise
        finally:
            route = getattr(scope.get("route"), "label", "unknown")
            answered = {"http.response.status_code": sent.status} if sent.status else {}
            span.describe(f"{method} {route}", {"http.route": route, **answered})
            span.end(error=error)
