"""Query services come and go behind their clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from tests.support.query_service import event, write
from tests.support.services.process import free_port, wait_until
from tests.support.steady_client import SteadyClient
from tests.support.system import API, Process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.services.redis import OwnRedis

DEADLINE_S = 60.0
PATHS = ["list/t", "page/t?pageNumber=1&pageSize=5", "detail/list/r", "overview/r", "r"]


async def test_query_services_are_restarted_one_after_the_other(
    own_redis: Callable[..., OwnRedis], tmp_path: Path, journal: list[str]
) -> None:
    """A client that asks once more never sees it."""
    redis = own_redis()
    details = [event("detail.started", detailId=f"d{number}") for number in range(500)]
    await write(redis.url, "replog", [event("record.started"), *details])
    services = [service(redis.url, tmp_path, workers) for workers in (1, 2)]
    try:
        with SteadyClient([one.url for one in services], PATHS) as client:
            for one in services * 2:
                journal.append("SIGTERM of one of two query services, and its restart")
                before = len(client.answers)
                assert one.stop() == 0
                ready(one)
                assert len(client.answers) > before
            assert not client.failures
    finally:
        for one in services:
            one.kill()
    assert len({path: None for path, _ in client.answers}) == len(PATHS)
    for path in PATHS:
        assert len({repr(data) for asked, data in client.answers if asked == path}) == 1


def service(redis_url: str, folder: Path, workers: int) -> Process:
    """A query service on an address that it keeps, ready."""
    settings = {"REPLOG_REDIS_URL": redis_url, "REPLOG_API_PORT": str(free_port()), "REPLOG_LOG_FORMAT": "json"}
    settings |= {"REPLOG_API_WORKERS": str(workers), "REPLOG_API_DRAIN_S": "2", "REPLOG_API_REQUESTS_PER_S": "0"}
    process = Process(API, folder, settings)
    ready(process)
    return process


def ready(process: Process) -> None:
    """Start it, and wait until it is ready for all its clients."""
    process.start()
    assert wait_until(lambda: answers(process), DEADLINE_S)


def answers(process: Process) -> bool:
    """Whether a service is ready; its listener is there before."""
    try:
        return process.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
