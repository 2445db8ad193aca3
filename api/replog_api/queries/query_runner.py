"""How every question is answered: not at all where the client has the answer, else with its tag."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from orjson import dumps
from starlette.responses import Response

from replog.cancellation import cancel_and_wait, finish_all
from replog.errors import StoreUnavailable
from replog_api import metrics
from replog_api.admission.concurrency import ConcurrencyLimiter, OverloadedError
from replog_api.admission.limits import SEARCH_COST, Limits
from replog_api.admission.waiting_clients import INTERVAL_S
from replog_api.http.etags import digest_of, names, still_good, tag_of
from replog_api.http.presence import WhilePresent
from replog_api.http.request_context import context_of
from replog_api.queries import render
from replog_api.queries.responses import Answer
from replog_api.queries.single_flight import ENDS_WITHIN_S, SingleFlight

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request

    from replog.settings import ApiSettings
    from replog_api.admission.limits import RateLimit
    from replog_api.admission.waiting_clients import WaitingClients

#: A list that is sent in several parts tells staleness as of whole multiples of this, in ms: its tag is sent before
#: all of its rows are known.
LONG_LIST_MS = 10_000


#: The version of one question is not read more often than this: who polls what many poll waits so much longer.
SPACING_S = 0.1
#: Answers kept for whoever asks the same next, and the most bytes that one may have.
KEPT_ANSWERS = 256
KEPT_BYTES = 65_536

_LIMITS = Limits()

#: What is asked, as far as answers differ: the endpoint, its parameters, the zone; the same for the same question only.
QueryKey = bytes


#: Finds an answer; raises what every reading of the store raises.
Find = Callable[[], Coroutine[Any, Any, Answer]]
#: Reads the version of an answer; None where that takes as much as finding it.
Version = Callable[[], Awaitable[bytes | None]]


class Current(NamedTuple):
    """What is known of an answer: its version, or itself; neither where nobody looked."""

    version: bytes | None = None
    found: Answer | None = None


class _Finding:
    """One answer that is being found, and how many wait for it."""

    def __init__(self, task: asyncio.Task[Answer]) -> None:
        self.task = task
        self.asking = 0


class Shared:
    """Answers that many want, at once or again: each is found once a version, by whoever comes first."""

    def __init__(self) -> None:
        self._kept: dict[QueryKey, Answer] = {}
        self._finding: dict[tuple[QueryKey, bytes], _Finding] = {}
        self._tasks: set[asyncio.Task[Answer]] = set()

    def __contains__(self, query_key: QueryKey) -> bool:
        return query_key in self._kept

    async def find(self, query_key: QueryKey, version: bytes | None, find: Find) -> Answer:
        """An answer that says what is of this version or newer; found anew where the version is not known.

        Finding it ends when all who want it have gone away.
        """
        if version is None:
            return self._keep(query_key, await find())
        kept = self._kept.get(query_key)
        if kept and kept.version == version and (kept.until_ms is None or kept.until_ms > _now_ms()):
            return kept
        key = (query_key, version)
        finding = self._finding.get(key) or self._begin(key, find)
        finding.asking += 1
        try:
            # Whoever began it may go away without the others.
            return self._keep(query_key, await asyncio.shield(finding.task))
        finally:
            finding.asking -= 1
            if not finding.asking:
                # Who comes next begins anew: this one may take a moment to end.
                self._forget(key, finding)
                finding.task.cancel()

    async def close(self) -> None:
        """End what is under way; nobody asks any more."""
        await cancel_and_wait(self._tasks, timeout_s=ENDS_WITHIN_S)

    def _begin(self, key: tuple[QueryKey, bytes], find: Find) -> _Finding:
        task = asyncio.create_task(find(), name="query")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        finding = self._finding[key] = _Finding(task)
        task.add_done_callback(lambda _: self._forget(key, finding))
        return finding

    def _forget(self, key: tuple[QueryKey, bytes], finding: _Finding) -> None:
        if self._finding.get(key) is finding:
            del self._finding[key]

    def _keep(self, query_key: QueryKey, found: Answer) -> Answer:
        if found.size <= KEPT_BYTES:
            self._kept.pop(query_key, None)
            self._kept[query_key] = found
            if len(self._kept) > KEPT_ANSWERS:
                del self._kept[next(iter(self._kept))]
        return found


class QueryRunner:
    """Answers questions; one instance a process."""

    def __init__(
        self,
        settings: ApiSettings,
        waiting_clients: WaitingClients,
        limits: Limits = _LIMITS,
        rate: RateLimit | None = None,
    ) -> None:
        #: Those who wait for other answers than they have.
        self.waiting_clients = waiting_clients
        self._limits = limits
        self._rate = rate
        self._searches = ConcurrencyLimiter(
            limits.most_searches, wait_s=limits.search_wait_s, most_waiting=limits.most_searches_waiting
        )
        self._stale_after_s = settings.stale_after_s
        # Another store, or another idea of what is stale, has other answers.
        self._ground = (settings.redis_prefix, settings.stale_after_s)
        self._versions: SingleFlight[Current] = SingleFlight(SPACING_S)
        self._at_once: SingleFlight[bytes | None] = SingleFlight()
        self._watched: SingleFlight[Current] = SingleFlight(INTERVAL_S)
        self._shared = Shared()

    def query_key(self, request: Request, *parts: Any) -> QueryKey:
        """What ``request`` asks; ``parts`` are texts and numbers."""
        return dumps((*self._ground, str(context_of(request.scope).zone), *parts))

    @staticmethod
    def now_ms() -> int:
        """What everything is rendered as of."""
        return _now_ms()

    def renderer(self, request: Request, now_ms: int | None = None) -> render.Renderer:
        """Renders as ``request`` wants it, as of now."""
        zone = context_of(request.scope).zone
        return render.Renderer(zone, now_ms=now_ms or _now_ms(), stale_after_s=self._stale_after_s)

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
        """304 where the client has the answer, by ``version``; else it.

        With ``share``, what ``find`` finds for one is given to others too, as long as the version is the same. With
        ``wait_s``, 304 is said only when nothing else was to be said for so long; needs ``share``.
        """
        wanted = context_of(request.scope).if_none_match
        conditional = wanted not in {"", "*"}

        async def look() -> Current:
            current = await version()
            # Where the version does not tell, all who ask share what is found too.
            return Current(current, None if current or not share else await find())

        async with WhilePresent(request.receive, self._limits.notice_after_s):
            if conditional:
                current = await self._versions.ask(query_key, look)
            else:
                current = Current(await self._at_once.ask(query_key, version) if query_key in self._shared else None)
            response = await self._respond(request, query_key, current, find, share=share)
        if wait_s and conditional and _says_nothing(response):
            async with self.waiting_clients.waiting(request, wait_s):
                while _says_nothing(response):
                    current = await self._watched.ask(query_key, look)
                    response = await self._respond(request, query_key, current, find, share=share)
        if _says_nothing(response):
            metrics.NOT_MODIFIED.inc()
        return response

    async def _respond(
        self, request: Request, query_key: QueryKey, current: Current, find: Find, *, share: bool
    ) -> Response:
        wanted = context_of(request.scope).if_none_match
        version, found = current
        good = version and still_good(wanted, digest_of(query_key, version), _now_ms())
        if good:
            return _not_modified(good)
        if not found:
            found = await (self._shared.find(query_key, version, find) if share else find())
        tag = tag_of(digest_of(query_key, found.version), found.until_ms)
        if wanted and names(wanted, tag):
            return _not_modified(tag)
        return found.respond(request, {"ETag": tag})

    @asynccontextmanager
    async def searching(self, request: Request) -> AsyncIterator[None]:
        """A block that looks for a page in many rows: not too many do so at once, and it counts as several requests.

        Raises:
            StoreUnavailable: too many do already.
        """
        self.charge(request, SEARCH_COST)
        async with or_busy(self._searches, context_of(request.scope).client):
            yield

    def charge(self, request: Request, requests: int) -> None:
        """Let ``request``, which costs more than others, count as so many."""
        if self._rate:
            self._rate.charge(context_of(request.scope).client, requests - 1)

    async def close(self) -> None:
        """End what is under way; nobody asks any more."""
        owners = (self._versions, self._at_once, self._watched, self._shared)
        await finish_all(*(owner.close() for owner in owners))

    def list_until(self, *, may_change: bool) -> tuple[int, int | None]:
        """As of when a long list is rendered, and until when it is good."""
        now_ms = _now_ms()
        if not may_change:
            return now_ms, None
        step_ms = min(LONG_LIST_MS, self._stale_after_s * 100)
        begun_ms = now_ms - now_ms % step_ms
        return begun_ms, begun_ms + step_ms


@contextmanager
def timed(operation: str) -> Iterator[None]:
    """Time what is asked of the store."""
    began = time.perf_counter()
    try:
        yield
    finally:
        metrics.STORE_SECONDS.labels(operation).observe(time.perf_counter() - began)


@asynccontextmanager
async def or_busy(places: ConcurrencyLimiter, client: str) -> AsyncIterator[None]:
    """A place for the time of the block; raises StoreUnavailable, kind ``busy``, where there is none in time."""
    try:
        async with places.place(client):
            yield
    except OverloadedError as error:
        raise StoreUnavailable("busy", str(error)) from None


def _says_nothing(response: Response) -> bool:
    return response.status_code == HTTPStatus.NOT_MODIFIED


def _not_modified(tag: str) -> Response:
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
