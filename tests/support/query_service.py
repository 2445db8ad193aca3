"""The query service in the test's own process, over a store that the test writes."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import httpx

from replog.events import parse
from replog.settings import ApiSettings, StoreSettings, load
from replog.store.client.connection import Connection
from replog.store.read.queries import StoreQueries
from replog.store.write.batch import Batch
from replog.store.write.writer import Writer
from replog_api.app import create_app
from replog_api.queries.query_runner import now_ms
from tests.support.services.redis_acl import url_as_query_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from starlette.types import ASGIApp

    from replog.store.client.pipelining import CommandRunner
    from replog_api.admission.limits import Limits
    from replog_api.admission.waiting_clients import Timings
    from tests.support.streams import Event

    #: Makes the read port of a service on its connection.
    Store = Callable[[CommandRunner], StoreQueries]

BASE = "/replication/api/task/record"
#: Events in one batch of the tests' writer: small, so that entities are merged with what is stored.
BATCH_EVENTS = 97
TIMEOUT_S = 10.0
#: How long Redis may take before a service of the tests' process answers 503, in seconds. A machine that is busy with
#: other tests may stop Redis for longer than a real service waits.
STORE_TIMEOUT_S = 30.0
#: How long the check of a Redis that does not answer may hold up a test, in seconds.
CHECK_S = 2.0
START_WARNINGS = {"append_only_off", "eviction_on", "checkpoints_missing"}


def event(kind: str, *, at: str = "2021-05-12T12:00:00Z", **fields: Any) -> Event:
    """An event of the record ``r`` of the task ``t``, or of its detail ``d``."""
    ids = {"taskKey": "t"} if kind.startswith("record") else {"detailId": "d"}
    return {"type": kind, "recordId": "r", "eventTime": at, **ids, **fields}


async def write(url: str, prefix: str, events: Sequence[Event]) -> None:
    """Store ``events`` under ``prefix`` as a collector does."""
    async with Connection(load(StoreSettings, redis_url=url, redis_prefix=prefix), timeout_s=TIMEOUT_S) as store:
        await merge(store, events)


async def merge(store: Connection, events: Sequence[Event], clock: Callable[[], float] = time.time) -> None:
    """Store ``events`` by a connection that is open, as of ``clock``, in seconds since 1970."""
    writer = Writer(store, clock=clock)
    for start in range(0, len(events), BATCH_EVENTS):
        batch = Batch()
        for event in events[start : start + BATCH_EVENTS]:
            batch.add(parse(json.dumps(event).encode()))
        await writer.merge(batch)


def of_requests(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Log lines without the warnings of a service's start: a store that a test writes has no checkpoints."""
    return [line for line in lines if line["event"] not in START_WARNINGS]


def path_of(endpoint: str, entity_id: str, query: str = "") -> str:
    """The URL path and query of an endpoint (empty, or as ``detail/page``) for an id."""
    start = "/".join((BASE, *filter(None, [endpoint]), ""))
    if entity_id in {".", ".."}:
        # No client can send these in a path.
        return f"{start}?id={entity_id}&{query}"
    return start + quote(entity_id, safe="") + (query and f"?{query}")


def in_order(text: str | bytes) -> Any:
    """JSON as values in which the order of keys counts."""
    return json.loads(text, object_pairs_hook=tuple)


@dataclass(frozen=True)
class QueryService:
    """A running query service."""

    client: httpx.AsyncClient

    async def get(self, endpoint: str, entity_id: str, **query: object) -> httpx.Response:
        """The answer of an endpoint."""
        return await self.client.get(path_of(endpoint, entity_id, urlencode(query)))

    async def data(self, endpoint: str, entity_id: str, **query: object) -> Any:
        """The data of an answer, which has to be a good one."""
        answer = await self.get(endpoint, entity_id, **query)
        body = answer.json()
        assert (answer.status_code, body["code"], body["message"]) == (200, 0, None), answer.text
        return body["data"]

    async def is_answered(self, expected: object, endpoint: str, entity_id: str, **query: object) -> None:
        """Require ``expected`` as data, keys in this order, in an envelope of four keys."""
        answer = await self.get(endpoint, entity_id, **query)
        assert answer.status_code == httpx.codes.OK, answer.text
        assert answer.headers["content-type"] == "application/json"
        envelope = in_order(answer.content)
        assert [key for key, _ in envelope] == ["code", "message", "data", "traceId"]
        assert envelope[:2] == (("code", 0), ("message", None))
        assert envelope[2][1] == in_order(json.dumps(expected))

    async def page(self, endpoint: str, entity_id: str, number: int, size: int, **query: object) -> Any:
        """The data of a page."""
        return await self.data(endpoint, entity_id, pageNumber=number, pageSize=size, **query)


def page_of(rows: Sequence[Any], number: int, size: int) -> dict[str, Any]:
    """The page ``number`` of all ``rows``, as the API has to answer it."""
    return {
        "pageNumber": max(1, number),
        "pageSize": size,
        "totalRecords": len(rows),
        "totalPages": -(-len(rows) // size),
        "records": rows[(max(1, number) - 1) * size :][:size],
    }


@asynccontextmanager
async def serving(
    redis_url: str,
    redis_prefix: str,
    limits: Limits | None = None,
    *,
    timings: Timings | None = None,
    store: Store = StoreQueries,
    clock: Callable[[], int] = now_ms,
    **settings: Any,
) -> AsyncIterator[QueryService]:
    """A query service over what is stored under ``redis_prefix``; ``settings`` beside the store's."""
    url = url_as_query_service(redis_url)
    app = create_app(
        load(ApiSettings, redis_url=url, redis_prefix=redis_prefix, **settings),
        limits=limits,
        timings=timings,
        store=store,
        clock=clock,
        store_timeout_s=STORE_TIMEOUT_S,
    )
    # The answer to an unexpected error is looked at, not the error.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with _alive(app), httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield QueryService(client)


@asynccontextmanager
async def _alive(app: ASGIApp) -> AsyncIterator[None]:
    asked, answered = asyncio.Queue[Any](), asyncio.Queue[Any]()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    life = asyncio.ensure_future(app(scope, asked.get, answered.put))

    async def complete(step: str) -> None:
        await asked.put({"type": f"lifespan.{step}"})
        assert (await answered.get())["type"] == f"lifespan.{step}.complete"

    await complete("startup")
    await _checked()
    try:
        yield
    finally:
        # Also where the test failed: without being asked to end, it never does.
        await complete("shutdown")
        await life


async def _checked() -> None:
    """Return once the services of this loop have checked their store, or its Redis keeps them waiting.

    What the check sends to Redis, and what it logs, is no part of what a test counts.
    """
    checks = [task for task in asyncio.all_tasks() if task.get_name() == "store check"]
    if checks:
        await asyncio.wait(checks, timeout=CHECK_S)
