"""The application: routes, errors, health and metrics put together."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from fastapi import APIRouter, FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import PlainTextResponse, Response

from replog.errors import ReplogError
from replog.store.connection import Connection
from replog.store.sharing import SharedPipelines
from replog_api import metrics, problems
from replog_api.access import Tokens
from replog_api.freshness import Freshness
from replog_api.gate import Gate
from replog_api.limits import RateLimit
from replog_api.routes import PlainRoute, query_routes
from replog_api.visit import TIME_ZONE_HEADER, visit_of
from replog_api.watchers import END_WAITING, Watchers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from replog.settings import ApiSettings

#: How long Redis may take to answer one call, in seconds.
STORE_TIMEOUT_S = 1.2


def create_app(settings: ApiSettings) -> ASGIApp:
    """The query service as an ASGI application; connects to the store when first asked, not before."""
    connection = Connection(settings, timeout_s=STORE_TIMEOUT_S)
    watchers = Watchers()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with connection:
            yield {END_WAITING: watchers.end}

    app = FastAPI(
        title="replog",
        summary="Execution records of repository replication",
        version="1",
        lifespan=lifespan,
        redirect_slashes=False,
        # The pages that show OpenAPI load their programs from elsewhere; this service is to work without elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    app.include_router(query_routes(SharedPipelines(connection, timeout_s=STORE_TIMEOUT_S), settings, watchers))
    _add_health(app, connection)
    gate = Gate(
        app,
        freshness=Freshness(connection, time.monotonic),
        zone=ZoneInfo(settings.time_zone),
        tokens=Tokens(settings.tokens),
        limit=RateLimit(settings.api_requests_per_s, time.monotonic),
    )
    return Observed(_for_other_origins(gate, settings.cors_origins))


def _for_other_origins(app: ASGIApp, origins: list[str]) -> ASGIApp:
    """Let pages of ``origins`` ask ``app`` from a browser; without any, browsers let none."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET"],
        allow_headers=["Authorization", "If-None-Match", "Last-Event-ID", "traceparent", TIME_ZONE_HEADER],
        expose_headers=["ETag", "Link", "Retry-After", "X-Replog-As-Of", "X-Total-Count", TIME_ZONE_HEADER],
    )


def _add_health(app: FastAPI, connection: Connection) -> None:
    async def livez(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                await connection.check()
        except TimeoutError:
            return PlainTextResponse("the store does not answer\n", 503)
        except ReplogError as error:
            return PlainTextResponse(f"{error}\n", 503)
        return PlainTextResponse("ok\n")

    async def exposition(request: Request) -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    router = APIRouter(route_class=PlainRoute, include_in_schema=False)
    for path, endpoint in (("/livez", livez), ("/readyz", readyz), ("/metrics", exposition)):
        router.add_api_route(path, endpoint, response_model=None)
    app.include_router(router)


class Observed:
    """Counts and times requests by route template and status."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on and look at the answer's head."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            metrics.REQUESTS.labels(route, str(status)).inc()
            took_s = time.perf_counter() - began - visit_of(scope).waited_s
            metrics.REQUEST_SECONDS.labels(route).observe(took_s)
