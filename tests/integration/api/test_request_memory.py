"""Requests that are answered are freed at once: freeing them later, by the thousand, would hold all others up."""

from __future__ import annotations

import gc

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tests.support.live import live
from tests.support.query_service import BASE, event, write

REQUESTS = 20


def alive() -> int:
    """Requests that something still holds."""
    return sum(type(one) is RequestResponseCycle for one in gc.get_objects())


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{BASE}/detail/page/r?pageNumber=1&pageSize=5", 200),
        (f"{BASE}/detail/page/r?pageNumber=1&pageSize=5&status=SUCCESS", 200),
        (f"{BASE}/detail/page/r?pageNumber=0", 400),
        (f"{BASE}/detail/list/r", 200),
        (f"{BASE}/detail/export/r?format=csv", 200),
        (f"{BASE}/page/t?pageNumber=1&pageSize=5", 200),
        (f"{BASE}/r", 200),
        (f"{BASE}/unknown", 400),
        ("/replication/api/task/list?pageNumber=1&pageSize=5", 200),
        ("/livez", 200),
        ("/nowhere", 404),
    ],
)
async def test_an_answered_request_is_freed_at_once(redis_url: str, redis_prefix: str, path: str, status: int) -> None:
    """Without a garbage collection, which only reference cycles need."""
    await write(redis_url, redis_prefix, [event("record.started"), event("detail.started")])
    async with live(redis_url, redis_prefix) as service:
        assert (await service.client.get(path)).status_code == status
        gc.collect()
        gc.disable()
        try:
            before = alive()
            for _ in range(REQUESTS):
                await service.client.get(path)
            # The last ones may be ending still.
            assert alive() < before + REQUESTS // 4
        finally:
            gc.enable()
