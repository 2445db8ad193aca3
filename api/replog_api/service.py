"""The endpoints about the service itself: health, metrics, and what it says of itself. None says anything of a task."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import PlainTextResponse, Response

from replog.errors import StoreIncompatible, StoreRefused, StoreUnavailable
from replog.telemetry import logger
from replog_api import metrics
from replog_api.contracts import documents
from replog_api.http.envelope import JSON

if TYPE_CHECKING:
    from replog.store.client.connection import Connection
    from replog_api.http.as_of import Freshness
    from replog_api.server.connections import Drain


#: What ``/readyz`` asks.
DEPENDENCY = "redis"


class ServiceEndpoints:
    """One instance a process; ``timeout_s`` is how long the store may take to answer."""

    def __init__(self, connection: Connection, freshness: Freshness, drain: Drain, *, timeout_s: float) -> None:
        self._connection = connection
        self._freshness = freshness
        self._drain = drain
        self._timeout_s = timeout_s
        #: What kind of trouble the store was in at the last look; empty for none.
        self._told = ""

    async def live(self, request: Request) -> Response:
        """Whether the process answers."""
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """Whether the store answers and the service goes on; else the kind of trouble. The log has the rest."""
        if self._drain.begun:
            return PlainTextResponse("the service stops\n", 503)
        kind, error = await self._trouble()
        self._tell(kind, error)
        return PlainTextResponse(f"{DEPENDENCY}: {kind}\n", 503) if kind else PlainTextResponse("ok\n")

    async def _trouble(self) -> tuple[str, str]:
        """The kind of trouble that the store is in and what it says; empty for none."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connection.check()
        except TimeoutError:
            return "timeout", f"no answer in {self._timeout_s} s"
        except StoreUnavailable as error:
            return error.kind, str(error)
        except StoreIncompatible as error:
            return "incompatible", str(error)
        except StoreRefused as error:
            return "refused", str(error)
        return "", ""

    def _tell(self, kind: str, error: str) -> None:
        """Log what has changed since the last look."""
        if kind and kind != self._told:
            logger().warning("not_ready", dependency=DEPENDENCY, kind=kind, error=error)
        elif self._told and not kind:
            logger().info("recovered")
        self._told = kind

    async def metrics(self, request: Request) -> Response:
        """The metrics, for Prometheus; the gauges of the store are read now."""
        kind, error = await self._trouble()
        self._tell(kind, error)
        metrics.DEPENDENCY_UP.labels(DEPENDENCY).set(not kind)
        metrics.AS_OF.set(self._freshness.ms(await self._freshness.read()) / 1000)
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        # FastAPI takes its time over the first one, which no other client is to wait for.
        return Response(await asyncio.to_thread(documents.openapi_json), media_type=JSON)

    async def asyncapi(self, request: Request) -> Response:
        """The AsyncAPI document."""
        return Response(documents.asyncapi_json(), media_type=JSON)
