"""The endpoints about the service itself: health, metrics, and what it says of itself. None says anything of a task."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import PlainTextResponse, Response

from replog.errors import ReplogError
from replog_api import contracts, metrics
from replog_api.envelope import JSON

if TYPE_CHECKING:
    from replog.store.connection import Connection


class ServiceEndpoints:
    """One instance a process; ``timeout_s`` is how long the store may take to answer."""

    def __init__(self, connection: Connection, *, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s

    async def live(self, request: Request) -> Response:
        """Whether the process answers."""
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """Whether the store does."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connection.check()
        except TimeoutError:
            return PlainTextResponse("the store does not answer\n", 503)
        except ReplogError as error:
            return PlainTextResponse(f"{error}\n", 503)
        return PlainTextResponse("ok\n")

    async def metrics(self, request: Request) -> Response:
        """The metrics, for Prometheus."""
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        return Response(contracts.openapi_json(), media_type=JSON)

    async def asyncapi(self, request: Request) -> Response:
        """The AsyncAPI document."""
        return Response(contracts.asyncapi_json(), media_type=JSON)
