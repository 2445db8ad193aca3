"""Runs queries: 304 where the client has the answer already, by its version, else the answer with its tag."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from orjson import dumps
from starlette.responses import Response

from replog.cancellation import finish_all
from replog.deadlines import Deadlines
from replog.errors import BUSY, StoreUnavailable
from replog_api import metrics
from replog_api.admission.concurrency import ConcurrencyLimiter, OverloadedError
from replog_api.admission.limits import SEARCH_COST, Limits
from replog_api.admission.waiting_clients import Timings
from replog_api.http.etags import digest_of, names, still_good, tag_of
from replog_api.http.presence import WhilePresent
from replog_api.http.request_context import context_of
from replog_api.queries import render
from replog_api.queries.shared_answers import Find, QueryKey, SharedAnswers
from replog_api.queries.single_flight import SingleFlight

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from replog.settings import ApiSettings
    from replog_api.admission.limits import RateLimit
    from replog_api.admission.waiting_clients import WaitingClients
    from replog_api.queries.responses import Answer

#: Long lists are rendered as of whole multiples of this, in ms: the tag of a list is sent before its rows are known.
LONG_LIST_MS = 10_000
#: The version of one query is not read more often than this: of many clients that poll the same, each waits so much
#: longer.
SPACING_S = 0.1

_LIMITS = Limits()
_TIMINGS = Timings()

#: Reads the version of an answer; None where that takes as much as finding it.
Version = Callable[[], Awaitable[bytes | None]]


class Current(NamedTuple):
    """The version of an answer, or the answer itself; neither where nothing was read."""

    version: bytes | None = None
    answer: Answer | None = None


def now_ms() -> int:
    """The time in ms since 1970."""
    return time.time_ns() // 1_000_000


class QueryRunner:
    """Runs queries; one instance a process.

    ``clock`` gives the time that answers are rendered as of, as :func:`now_ms` does.
    """

    def __init__(
        self,
        settings: ApiSettings,
        waiting_clients: WaitingClients,
        limits: Limits = _LIMITS,
        rate: RateLimit | None = None,
        *,
        timings: Timings = _TIMINGS,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        #: The clients that wait for another answer than they have.
        self.waiting_clients = waiting_clients
        self.timings = timings
        #: The time that answers are rendered as of, in ms since 1970.
        self.now_ms = clock
        self._noticing = Deadlines(limits.notice_after_s)
        self._rate = rate
        self._searches = ConcurrencyLimiter(
            limits.most_searches, wait_s=limits.search_wait_s, most_waiting=limits.most_searches_waiting
        )
        self._stale_after_s = settings.stale_after_s
        # Answers depend on these, too.
        self._settings_key = (settings.redis_prefix, settings.stale_after_s)
        self._versions: SingleFlight[Current] = SingleFlight(SPACING_S)
        self._at_once: SingleFlight[bytes | None] = SingleFlight()
        self._watched: SingleFlight[Current] = SingleFlight(timings.interval_s)
        self._shared = SharedAnswers(limits.kept_answers, clock)

    def query_key(self, request: Request, *parts: Any) -> QueryKey:
        """The key of a query; ``parts`` are the texts and numbers that tell it from others, beside the zone."""
        return dumps((*self._settings_key, str(context_of(request.scope).zone), *parts))

    def renderer(self, request: Request, now_ms: int | None = None) -> render.Renderer:
        """A renderer for the zone of ``request``, as of ``now_ms`` or now."""
        zone = context_of(request.scope).zone
        return render.Renderer(zone, now_ms=now_ms or self.now_ms(), stale_after_s=self._stale_after_s)

    async def answer(
        self,
        request: Request,
        query_key: QueryKey,
        version: Version,
        find: Find,
        *,
        share: bool = True,
        wait_s: float = 0,
    ) -> Response:
        """The response to ``request``: 304 where the client has the answer, by ``version``; else the answer.

        With ``share``, an answer that ``find`` finds for one client is given to others too, as long as the version is
        the same. With ``wait_s``, 304 is sent only after so long without another answer; needs ``share``.
        """
        wanted = context_of(request.scope).if_none_match
        conditional = wanted not in {"", "*"}

        async def read_current() -> Current:
            current = await version()
            # Where the version takes as much as the answer, all clients share the answer too.
            return Current(current, None if current or not share else await find())

        async with WhilePresent(request.receive, self._noticing):
            if conditional:
                current = await self._versions.ask(query_key, read_current)
            else:
                current = Current(await self._at_once.ask(query_key, version) if query_key in self._shared else None)
            response = await self._respond(request, query_key, current, find, share=share)
        if wait_s and conditional and _is_not_modified(response):
            async with self.waiting_clients.waiting(request, wait_s):
                while _is_not_modified(response):
                    current = await self._watched.ask(query_key, read_current)
                    response = await self._respond(request, query_key, current, find, share=share)
        if _is_not_modified(response):
            metrics.NOT_MODIFIED.inc()
        return response

    async def _respond(
        self, request: Request, query_key: QueryKey, current: Current, find: Find, *, share: bool
    ) -> Response:
        wanted = context_of(request.scope).if_none_match
        version, answer = current
        if wanted and version:
            good = still_good(wanted, digest_of(query_key, version), self.now_ms())
            if good:
                return _not_modified(good)
        if not answer:
            answer = await (self._shared.find(query_key, version, find) if share else find())
        tag = tag_of(digest_of(query_key, answer.version), answer.until_ms)
        if wanted and names(wanted, tag):
            return _not_modified(tag)
        return answer.respond(request, {"ETag": tag})

    @asynccontextmanager
    async def searching(self, request: Request) -> AsyncIterator[None]:
        """A block that searches many rows: few run at once, and the request counts as several.

        Raises:
            StoreUnavailable: too many run already.
        """
        self.charge(request, SEARCH_COST)
        async with or_busy(self._searches, context_of(request.scope).client):
            yield

    def charge(self, request: Request, requests: int) -> None:
        """Count ``request``, which costs more than others, as so many."""
        if self._rate:
            self._rate.charge(context_of(request.scope).client, requests - 1)

    async def close(self) -> None:
        """Cancel all reads; nobody calls any more."""
        owners = (self._versions, self._at_once, self._watched, self._shared)
        await finish_all(*(owner.close() for owner in owners))

    def list_until(self, *, may_change: bool) -> tuple[int, int | None]:
        """The time in ms that a long list is rendered as of, and the time until which it holds; None for ever."""
        now_ms = self.now_ms()
        if not may_change:
            return now_ms, None
        step_ms = min(LONG_LIST_MS, self._stale_after_s * 100)
        begun_ms = now_ms - now_ms % step_ms
        return begun_ms, begun_ms + step_ms


class Timed:
    """Measures the block as one operation of the store."""

    __slots__ = ("_began", "_operation")

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        metrics.store_seconds_of(self._operation).observe(time.perf_counter() - self._began)


@asynccontextmanager
async def or_busy(places: ConcurrencyLimiter, client: str) -> AsyncIterator[None]:
    """A block that has one of ``places``; raises StoreUnavailable, kind ``busy``, where none gets free in time."""
    try:
        async with places.slot(client):
            yield
    except OverloadedError as error:
        raise StoreUnavailable(BUSY, str(error)) from None


def _is_not_modified(response: Response) -> bool:
    return response.status_code == HTTPStatus.NOT_MODIFIED


def _not_modified(tag: str) -> Response:
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
