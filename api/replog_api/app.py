"""The application: built of routes, errors, admission and metrics; opened and closed by its lifespan."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

from anyio.lowlevel import checkpoint
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from replog.cancellation import cancel_and_wait, finish_all
from replog.errors import ReplogError
from replog.settings import secret
from replog.store.client.connection import Connection
from replog.store.client.pipelining import SharedPipelines
from replog.store.client.rights import QUERY_SERVICE
from replog.store.client.weaknesses import log_weaknesses
from replog.store.read.as_of import read_as_of
from replog.store.read.queries import StoreQueries
from replog.store.read.stored_checkpoints import has_checkpoints
from replog.telemetry import logger
from replog.tokens import parse as parse_tokens
from replog_api import metrics
from replog_api.admission.auth import Tokens, client_of
from replog_api.admission.hosts import known_hosts
from replog_api.admission.limits import Limits, RateLimit
from replog_api.admission.proxies import Proxies
from replog_api.admission.token_rotation import INTERVAL_S, TokenRotation
from replog_api.admission.waiting_clients import END_WAITING, Timings, WaitingClients
from replog_api.http import errors
from replog_api.http.as_of import Freshness
from replog_api.http.request_context import TIME_ZONE_HEADER
from replog_api.http.store_trouble import StoreTrouble
from replog_api.live.snapshots import Snapshots
from replog_api.middleware import OPEN_PATHS, RequestMiddleware
from replog_api.observability.access_log import AccessLog
from replog_api.observability.request_metrics import Observed
from replog_api.observability.tracing import Traced
from replog_api.page.serving import page_paths, page_routes
from replog_api.queries.query_runner import QueryRunner, now_ms
from replog_api.routes import EndpointRoute, query_routes, service_routes
from replog_api.server.connections import Drain, room_for_connections
from replog_api.service import ServiceEndpoints

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from starlette.types import ASGIApp

    from replog.settings import ApiSettings
    from replog.store.client.pipelining import CommandRunner
    from replog.tokens import ApiToken
    from replog.tracing.tracer import Tracer

#: Seconds that Redis may take to answer one call.
STORE_TIMEOUT_S = 1.2
#: How long closing the connections to Redis may take, in seconds.
STORE_CLOSED_WITHIN_S = 0.5


class Owner(Protocol):
    """Part of the application that owns tasks."""

    async def close(self) -> None:
        """End them."""


def create_app(
    settings: ApiSettings,
    *,
    limits: Limits | None = None,
    timings: Timings | None = None,
    drain: Drain | None = None,
    proxies: Proxies | None = None,
    store: Callable[[CommandRunner], StoreQueries] = StoreQueries,
    clock: Callable[[], int] = now_ms,
    store_timeout_s: float = STORE_TIMEOUT_S,
    token_interval_s: float = INTERVAL_S,
    tracer: Tracer | None = None,
) -> ASGIApp:
    """The query service as an ASGI application. It connects to the store with its first request.

    ``drain`` says whether the process is to stop. ``proxies`` are trusted; by default none is. ``store`` makes the read
    port on a connection. ``clock`` gives the time that answers are rendered as of, in ms since 1970. Redis may take
    ``store_timeout_s`` to answer one call. The file of the tokens is looked at every ``token_interval_s``. ``tracer``
    records requests; None records none.
    """
    limits, drain = limits or Limits(), drain or Drain()
    connection = Connection(settings, timeout_s=store_timeout_s, rights=QUERY_SERVICE)
    shared = SharedPipelines(connection, timeout_s=store_timeout_s)
    rate = RateLimit(settings.api_requests_per_s, time.monotonic)
    trouble = StoreTrouble(time.monotonic)
    queries = store(shared)
    freshness = Freshness(connection, lambda: read_as_of(connection), time.monotonic)
    waiting_clients = WaitingClients(min(limits.most_waiting_clients, room_for_connections() // 2))
    runner = QueryRunner(settings, waiting_clients, limits, rate, timings=timings or Timings(), clock=clock)
    snapshots = Snapshots(queries.records, runner)

    tokens = Tokens(settings.tokens)
    rotation = _rotation(settings, tokens, waiting_clients, interval_s=token_interval_s)
    lifespan = _lifespan(connection, waiting_clients, rotation, owners=(runner, snapshots, freshness, shared))
    # FastAPI's document lacks the tables of errors and headers: contracts.openapi completes it. Its pages load their
    # scripts from other servers.
    app = FastAPI(
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # FastAPI would look for exporters at each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    errors.install(app, trouble)
    app.router.routes += query_routes(queries, runner, snapshots, limits)
    app.router.routes += service_routes(ServiceEndpoints(connection, freshness, drain, timeout_s=store_timeout_s))
    app.router.routes += page_routes() if settings.api_page else []
    metrics.begin(
        (route.path for route in app.router.routes if isinstance(route, EndpointRoute)), _names(settings.tokens)
    )
    proxies = proxies or Proxies()
    middleware = RequestMiddleware(
        app,
        freshness=freshness,
        zone=ZoneInfo(settings.time_zone),
        tokens=tokens,
        limit=rate,
        hosts=known_hosts(settings),
        proxies=proxies,
        trouble=trouble,
        open_paths=OPEN_PATHS | page_paths() if settings.api_page else OPEN_PATHS,
    )
    access_log = AccessLog(proxies) if settings.api_access_log else None
    observed = Observed(_for_other_origins(middleware, settings.cors_origins), access_log)
    return Traced(observed, tracer, untraced=OPEN_PATHS) if tracer else observed


def _names(tokens: Sequence[ApiToken]) -> set[str]:
    return {token.name for token in tokens}


def _rotation(
    settings: ApiSettings, tokens: Tokens, waiting_clients: WaitingClients, *, interval_s: float
) -> TokenRotation | None:
    """The rotation of ``tokens``; None where they are in no file."""
    file = secret(settings, "api_tokens", parse_tokens) if settings.api_tokens_file else None
    if file is None:
        return None

    def accept(found: Sequence[ApiToken]) -> None:
        metrics.begin_tokens(_names(found))
        gone = tokens.replace(found)
        waiting_clients.end_of({client_of(name) for name in gone})

    return TokenRotation(file, accept, interval_s=interval_s)


def _lifespan(
    connection: Connection, waiting_clients: WaitingClients, rotation: TokenRotation | None, *, owners: Sequence[Owner]
) -> Callable[[FastAPI], AbstractAsyncContextManager[dict[str, Any]]]:
    """The startup and shutdown of the application; ``connection`` is closed last."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        # Streamed responses run on anyio, most of which loads when it is first used: not while a client waits.
        await checkpoint()
        checking = asyncio.create_task(_check_store(connection), name="store check")
        if rotation:
            rotation.start()
        yield {END_WAITING: waiting_clients.end}
        await cancel_and_wait([checking], timeout_s=STORE_CLOSED_WITHIN_S)
        await finish_all(*(owner.close() for owner in (*owners, *([rotation] if rotation else []))))
        with suppress(TimeoutError):
            async with asyncio.timeout(STORE_CLOSED_WITHIN_S), connection:
                pass

    return lifespan


async def _check_store(connection: Connection) -> None:
    """Log missing rights, and what else an operator should know of the store; queries report errors themselves."""
    with suppress(ReplogError):
        await connection.check()
        await log_weaknesses(connection)
        if not await has_checkpoints(connection):
            logger().warning("checkpoints_missing", prefix=connection.prefix)


def _for_other_origins(app: ASGIApp, origins: list[str]) -> ASGIApp:
    """Let pages of ``origins`` call ``app`` from a browser (CORS). Without origins, no page of another origin may."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "HEAD"],
        # Clients of this API send headers that are not read: X-BKREPO-UID, X-CSRFToken.
        allow_headers=["*"],
        # They send cookies, too, which a page of an origin that is not named may not.
        allow_credentials="*" not in origins,
        expose_headers=[
            "Content-Disposition",
            "ETag",
            "Link",
            "Retry-After",
            "X-Replog-As-Of",
            "X-Total-Count",
            TIME_ZONE_HEADER,
        ],
    )
