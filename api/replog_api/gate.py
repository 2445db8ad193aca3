"""The gate that every request passes on its way in, and every answer on its way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request

from replog_api import messages
from replog_api.problems import INVALID_PARAMETER, RefusedError, refused
from replog_api.time_zones import offset_now, zone_of
from replog_api.visit import TIME_ZONE_HEADER, begin_visit

if TYPE_CHECKING:
    from datetime import tzinfo

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from replog_api.visit import Visit

#: Says which zone the times of an answer are in.
ZONE_HEADER = b"x-bkrepo-time-zone"


class Gate:
    """Reads a request's head, refuses what may not pass, and completes the head of every answer.

    Passes on the path as it was sent, still percent-encoded: an id may contain an encoded slash.
    """

    def __init__(self, app: ASGIApp, *, zone: tzinfo) -> None:
        self._app = app
        self._zone = zone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is no request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope.get("raw_path") is not None:
            scope["path"] = scope["raw_path"].decode("latin-1")
        visit = begin_visit(scope, self._zone)

        async def completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((ZONE_HEADER, offset_now(visit.zone)))
            await send(message)

        try:
            self._admit(visit)
        except RefusedError as error:
            await refused(Request(scope), error)(scope, receive, completed)
            return
        await self._app(scope, receive, completed)

    def _admit(self, visit: Visit) -> None:
        if visit.time_zone:
            try:
                visit.zone = zone_of(visit.time_zone)
            except ValueError:
                text = messages.no_time_zone(TIME_ZONE_HEADER, visit.time_zone)
                raise RefusedError(INVALID_PARAMETER, text) from None
