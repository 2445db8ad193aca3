"""The middleware of every request: admission on its way in, common headers on its way out."""

from __future__ import annotations

from http.client import BAD_REQUEST, NOT_MODIFIED, OK
from math import ceil
from typing import TYPE_CHECKING

from starlette.requests import Request

from replog.errors import BUSY, StoreUnavailable
from replog_api.admission.auth import client_of
from replog_api.admission.limits import MAX_HEADER_BYTES, MAX_URL_BYTES, header_bytes
from replog_api.http import messages
from replog_api.http.envelope import CSV, JSON, NDJSON
from replog_api.http.errors import (
    HEADERS_TOO_LARGE,
    MISDIRECTED,
    TOO_MANY_REQUESTS,
    URL_TOO_LONG,
    RefusedError,
    refused,
)
from replog_api.http.paths import routed_path
from replog_api.http.request_context import begin_request
from replog_api.http.time_zones import offset_now, zone_of

if TYPE_CHECKING:
    from datetime import tzinfo

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from replog_api.admission.auth import Tokens
    from replog_api.admission.hosts import KnownHosts
    from replog_api.admission.limits import RateLimit
    from replog_api.admission.proxies import Proxies
    from replog_api.http.as_of import Freshness
    from replog_api.http.request_context import RequestContext
    from replog_api.http.store_trouble import StoreTrouble

#: The types of answers with data; streams have another.
TYPES_OF_DATA = frozenset((b"content-type", media.encode()) for media in (JSON, CSV, NDJSON))
#: Names the zone of the times in an answer.
ZONE_HEADER = b"x-bkrepo-time-zone"
#: Names the time up to which events had been applied when the answer was read.
AS_OF_HEADER = b"x-replog-as-of"

#: In every answer: browsers must not guess its type, frame it, run it, or send its address to others.
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
#: The same for answers that have a policy of their own: the web page.
_SECURITY_HEADERS_WITHOUT_POLICY = tuple(
    header for header in SECURITY_HEADERS if header[0] != b"content-security-policy"
)
#: Paths for probes, Prometheus and authors of clients. They need no token and no known host: they have no task's data.
OPEN_PATHS = frozenset({"/livez", "/readyz", "/metrics", "/openapi.json", "/asyncapi.json"})

_CACHE_CONTROL = b"cache-control"
_POLICY = b"content-security-policy"
_REVALIDATE = ((_CACHE_CONTROL, b"private, no-cache"), (b"vary", b"Authorization, X-BKREPO-TIME-ZONE"))
#: Statuses that prove that the store has answered.
_ANSWERED = (OK, NOT_MODIFIED)
_NO_STORE = ((_CACHE_CONTROL, b"no-store"),)


class RequestMiddleware:
    """Reads a request's headers, refuses what is not admitted, and completes the headers of every answer.

    The path goes on as it was sent, still percent-encoded: an id may contain an encoded slash. An id that was sent
    beside the path is put into it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        freshness: Freshness,
        zone: tzinfo,
        tokens: Tokens,
        limit: RateLimit,
        proxies: Proxies,
        trouble: StoreTrouble,
        hosts: KnownHosts | None = None,
        open_paths: frozenset[str] = OPEN_PATHS,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._freshness = freshness
        self._zone = zone
        self._tokens = tokens
        self._limit = limit
        self._proxies = proxies
        self._trouble = trouble
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Whatever is not HTTP goes on unchanged."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope.get("raw_path") is not None:
            scope["path"] = routed_path(scope["raw_path"].decode("latin-1"), scope["query_string"])
        context = begin_request(scope, self._zone)
        as_of, sent = self._freshness.known, b""

        async def completed(message: Message) -> None:
            nonlocal sent
            header = self._freshness.header(as_of)
            if message["type"] == "http.response.start":
                _complete(message, context, header)
                # A stream goes on: its later events are fresher than its headers.
                sent = b"" if TYPES_OF_DATA.isdisjoint(message["headers"]) else header
                # Too many requests are no failure of the store itself.
                if context.store_trouble not in {"", BUSY}:
                    self._freshness.doubt()
                elif self._trouble.failing and context.client and message["status"] in _ANSWERED:
                    self._trouble.worked()
            elif sent and header != sent:
                raise StoreUnavailable("connection", "Redis was started anew while a list was read from it")
            await send(message)

        try:
            if scope["path"] not in self._open_paths:
                self._admit(scope, context)
                as_of = await self._freshness.read()
        except RefusedError as error:
            await refused(Request(scope), error)(scope, receive, completed)
            return
        await self._app(scope, receive, completed)

    def _admit(self, scope: Scope, context: RequestContext) -> None:
        if len(scope["path"]) + len(scope["query_string"]) > MAX_URL_BYTES:
            raise RefusedError(URL_TOO_LONG, messages.URL_TOO_LONG)
        if header_bytes(scope["headers"]) > MAX_HEADER_BYTES:
            raise RefusedError(HEADERS_TOO_LARGE, messages.HEADERS_TOO_LARGE)
        if self._hosts is not None and context.host not in self._hosts:
            raise RefusedError(MISDIRECTED, messages.misdirected(context.host))
        self._authenticate(scope, context)
        if context.time_zone:
            # Clients send a zone before they know their user's: one that cannot be parsed is no error.
            context.zone = zone_of(context.time_zone) or self._zone

    def _authenticate(self, scope: Scope, context: RequestContext) -> None:
        if not self._tokens:
            self._count(context, self._address(scope))
            return
        try:
            token = self._tokens.holder(context.authorization)
        except RefusedError:
            self._count(context, self._address(scope))
            raise
        self._count(context, client_of(token.name))
        context.prefix, context.token = token.prefix, token.name

    def _address(self, scope: Scope) -> str:
        peer = scope.get("client")
        return f"address {self._proxies.client(peer[0], scope['headers'])}" if peer else "address"

    def _count(self, context: RequestContext, client: str) -> None:
        context.client = client
        wait_s = self._limit.seconds_to_wait(client)
        if wait_s:
            headers = {"Retry-After": str(ceil(wait_s))}
            raise RefusedError(TOO_MANY_REQUESTS, messages.TOO_MANY_REQUESTS, headers)


def _complete(message: Message, context: RequestContext, as_of: bytes) -> None:
    headers = message["headers"]
    names = [name for name, _ in headers]
    headers += ((ZONE_HEADER, offset_now(context.zone)), (AS_OF_HEADER, as_of))
    headers += _SECURITY_HEADERS_WITHOUT_POLICY if _POLICY in names else SECURITY_HEADERS
    if _CACHE_CONTROL not in names:
        headers += _REVALIDATE if message["status"] < BAD_REQUEST else _NO_STORE
