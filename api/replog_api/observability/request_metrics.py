"""Metrics of requests, counted as their answers end."""

from __future__ import annotations

import time
from http.client import INTERNAL_SERVER_ERROR
from typing import TYPE_CHECKING

from replog_api import metrics
from replog_api.http.request_context import context_of
from replog_api.observability.sent_status import SentStatus

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from replog_api.observability.access_log import AccessLog


class Observed:
    """Counts and times requests by the label of their route and status, and logs them if there is a log."""

    def __init__(self, app: ASGIApp, access_log: AccessLog | None = None) -> None:
        self._app = app
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        sent = SentStatus(send, unsent=INTERNAL_SERVER_ERROR)
        try:
            await self._app(scope, receive, sent)
        finally:
            route = getattr(scope.get("route"), "label", "unknown")
            metrics.requests_of(route, sent.status).inc()
            context = context_of(scope)
            duration_s = time.perf_counter() - began
            metrics.request_seconds_of(route).observe(duration_s - context.waited_s)
            if context.token:
                metrics.TOKEN_REQUESTS.labels(context.token).inc()
            if context.store_trouble:
                metrics.STORE_ERRORS.labels(context.store_trouble).inc()
            if self._access_log:
                self._access_log.write(scope, context, route=route, status=sent.status, duration_s=duration_s)
