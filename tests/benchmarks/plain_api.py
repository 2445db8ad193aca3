"""The simplest query service a user would write: FastAPI with ``response_model``, details as JSON in a hash.

It pages by a sorted set, as ours does, and knows no filters.
"""

from __future__ import annotations

import json
import os
from typing import Any

from fastapi import FastAPI
from redis.asyncio import Redis

from replog_api.contracts.schemas import Detail, Envelope, Page

app = FastAPI()
redis: Redis = Redis.from_url(os.environ["PLAIN_REDIS_URL"])
PREFIX = os.environ["PLAIN_PREFIX"]


@app.get("/detail/page/{record_id}", response_model=Envelope[Page[Detail]])
async def page_details(record_id: str, pageNumber: int, pageSize: int) -> dict[str, Any]:  # noqa: N803 - the API's names
    """One page of details."""
    first = (pageNumber - 1) * pageSize
    pipeline = redis.pipeline(transaction=False)
    pipeline.zcard(f"{PREFIX}:time:{record_id}")
    pipeline.zrevrange(f"{PREFIX}:time:{record_id}", first, first + pageSize - 1)
    total, ids = await pipeline.execute()
    rows = await redis.hmget(f"{PREFIX}:details:{record_id}", ids)
    page = {
        "pageNumber": pageNumber,
        "pageSize": pageSize,
        "totalRecords": total,
        "totalPages": -(-total // pageSize),
        "records": [json.loads(row or "null") for row in rows],
    }
    return {"code": 0, "message": None, "data": page, "traceId": "0" * 32}
