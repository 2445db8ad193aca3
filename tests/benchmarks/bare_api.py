"""The least that a query service can do: a Starlette route that asks what ours asks, and sends what is stored.

It asks Redis by redis-py, one pipeline a request, with the calls of our own reader, and knows no errors, no tags and no
parameters but these.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from replog.statuses import SORTED_LETTERS
from replog.store.client.scripts import PAGE, TASK_PAGE
from replog.store.format.keys import RecordKeys, task_keys
from replog.store.format.rows import RECORD_FIELDS
from replog.store.read.bounded_reads import BYTES_A_CALL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

redis: Redis = Redis.from_url(os.environ["PLAIN_REDIS_URL"])
PREFIX = os.environ["PLAIN_PREFIX"]


async def page_details(request: Request) -> Response:
    """One page of details."""
    keys = RecordKeys(PREFIX, request.path_params["id"])
    pipeline = redis.pipeline(transaction=False)
    pipeline.hmget(keys.record, ["v", "w", "nR"])
    pipeline.evalsha(PAGE.sha, 3, *keys.all[:3], *_window(request), BYTES_A_CALL, SORTED_LETTERS, SORTED_LETTERS)
    _, (_, _, _, values) = await pipeline.execute()
    return _answer(values)


async def page_records(request: Request) -> Response:
    """One page of records."""
    entries, *keys = task_keys(PREFIX, request.path_params["id"])
    pipeline = redis.pipeline(transaction=False)
    pipeline.hget(entries, "")
    pipeline.evalsha(TASK_PAGE.sha, 2, *keys, *_window(request), "")
    _, (_, _, ids) = await pipeline.execute()
    for record_id in ids:
        pipeline.hmget(RecordKeys(PREFIX, record_id.decode()).record, RECORD_FIELDS)
    return _answer(b"".join(field or b"" for field in row) for row in await pipeline.execute())


def _window(request: Request) -> tuple[Any, ...]:
    size = int(request.query_params["pageSize"])
    return (int(request.query_params["pageNumber"]) - 1) * size, size


def _answer(rows: Iterable[bytes]) -> Response:
    return Response(b'{"records":[%b]}' % b",".join(rows), media_type="application/json")


app = Starlette(routes=[Route("/detail/page/{id}", page_details), Route("/page/{id}", page_records)])
