"""Pages that are waited for: answered as soon as there is something to say, and not before."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from replog.store.read.queries import StoreQueries
from replog_api.admission.limits import Limits
from replog_api.admission.waiting_clients import Timings
from tests.support.api.polling import START_MS
from tests.support.api.refusals import refused
from tests.support.live import live, until
from tests.support.query_service import BASE, event, write
from tests.support.services.redis import connected
from tests.support.store.intercepted import Intercepted

if TYPE_CHECKING:
    import httpx

    from replog.store.client.pipelining import CommandRunner
    from tests.support.api.served import Serve, ServiceClock
    from tests.support.live import LiveService
    from tests.support.query_service import QueryService

INTERVAL_S = 0.05
TIMINGS = Timings(interval_s=INTERVAL_S)
#: Longer than any of these tests may take.
LONG_S = 60
PAGE = "pageNumber=1&pageSize=5"
PATHS = {
    "records": f"page/t?{PAGE}",
    "records, old path": f"detail/page/t?{PAGE}",
    "details": f"detail/page/r?{PAGE}",
    "details, filtered": f"detail/page/r?{PAGE}&clusterName=d",
    "nothing, of a task": f"page/t?{PAGE}&status=FAILED",
    "nothing, of a record": f"detail/page/r?{PAGE}&status=FAILED",
    "nothing at all": f"page/unknown?{PAGE}",
}
each_page = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)


@pytest.fixture
def timings() -> Timings:
    """Look often."""
    return TIMINGS


@pytest.fixture
async def run(serve: Serve) -> QueryService:
    """A service that knows a record and a detail."""
    return await serve(event("record.started"), event("detail.started", remoteCluster="dev"))


async def tag_of(service: QueryService, path: str) -> str:
    """The tag of what is answered now."""
    return str((await service.client.get(f"{BASE}/{path}")).headers["etag"])


async def polled(service: QueryService | LiveService, path: str, tag: str, wait_s: float | str) -> httpx.Response:
    """The answer to who has one already."""
    return await service.client.get(f"{BASE}/{path}&wait={wait_s}", headers={"If-None-Match": tag})


@each_page
async def test_a_change_is_what_is_waited_for(run: QueryService, serve: Serve, path: str) -> None:
    """And what is answered is what anybody gets who asks then."""
    tag = await tag_of(run, path)
    asked = asyncio.create_task(polled(run, path, tag, LONG_S))
    done, _ = await asyncio.wait([asked], timeout=3 * INTERVAL_S)
    assert not done
    task = "unknown" if "unknown" in path else "t"
    await serve(
        event("record.finished", taskKey=task, status="FAILED", at="2021-05-12T12:00:01Z"),
        event("detail.finished", status="FAILED", at="2021-05-12T12:00:01Z"),
    )
    answer = await asyncio.wait_for(asked, 10)
    assert answer.status_code == 200
    now = await run.client.get(f"{BASE}/{path}")
    # A task's list and its records are written one shortly after the other.
    if answer.headers["etag"] == now.headers["etag"]:
        assert answer.json()["data"] == now.json()["data"]
    assert answer.headers["etag"] != tag
    assert "wait=" not in answer.headers["link"]


async def test_no_change_is_said_when_the_time_is_over(run: QueryService, redis_url: str, redis_prefix: str) -> None:
    """Of any page; and the waiting is no part of how long an answer took."""
    tags = await asyncio.gather(*(tag_of(run, path) for path in PATHS.values()))
    total = f'replog_http_request_seconds_sum{{route="{BASE}/page/{{key}}"}}'
    async with live(redis_url, redis_prefix, timings=TIMINGS) as service:
        before = await service.metric(total)
        began_s = time.monotonic()
        asked = (polled(service, path, tag, 1) for path, tag in zip(PATHS.values(), tags, strict=True))
        answers = await asyncio.gather(*asked)
        assert 1 <= time.monotonic() - began_s < 5
        assert 0 < await service.metric(total) - before < 1
    assert [(answer.status_code, answer.headers["etag"], answer.content) for answer in answers] == [
        (304, tag, b"") for tag in tags
    ]


async def test_a_process_that_does_not_know_the_page_waits_all_the_same(
    run: QueryService, serve: Serve, redis_url: str, redis_prefix: str
) -> None:
    """The tag is from another one."""
    tag = await tag_of(run, PATHS["records"])
    async with live(redis_url, redis_prefix, timings=TIMINGS) as other:
        asked = asyncio.create_task(polled(other, PATHS["records"], tag, LONG_S))
        done, _ = await asyncio.wait([asked], timeout=6 * INTERVAL_S)
        assert not done
        await serve(event("record.started", recordId="s"))
        assert (await asyncio.wait_for(asked, 10)).status_code == 200


@pytest.mark.parametrize("tag", ["", '"another"', "*"])
async def test_what_is_known_at_once_is_answered_at_once(run: QueryService, tag: str) -> None:
    """Nobody waits who has nothing, something else, or whatever there is."""
    async with asyncio.timeout(10):
        answer = await polled(run, PATHS["details"], tag, LONG_S)
    assert answer.status_code == (304 if tag == "*" else 200)


async def test_time_alone_ends_the_waiting_too(run: QueryService, clock: ServiceClock) -> None:
    """Where a row becomes stale."""
    clock.fixed_ms = START_MS + 900_000
    tag = await tag_of(run, PATHS["details"])
    asked = asyncio.create_task(polled(run, PATHS["details"], tag, LONG_S))
    done, _ = await asyncio.wait([asked], timeout=3 * INTERVAL_S)
    assert not done
    clock.fixed_ms = START_MS + 900_001
    answer = await asyncio.wait_for(asked, 10)
    assert [row["stale"] for row in answer.json()["data"]["records"]] == [True]


@pytest.mark.parametrize("wait", ["-1", "61", "1.5", "x", "0x1", "1e1"])
@pytest.mark.parametrize("path", [PATHS["records"], PATHS["details"]])
async def test_a_time_that_is_none_is_refused(run: QueryService, path: str, wait: str) -> None:
    """With what is allowed."""
    answer = await run.client.get(f"{BASE}/{path}&wait={wait}")
    refused(answer, 400, 250131)
    assert answer.json()["message"] == f"wait is '{wait}'; allowed: an integer from 0 to 60"


@pytest.mark.parametrize("wait", ["", "0", "60"])
async def test_a_time_may_be_left_out(run: QueryService, wait: str) -> None:
    """Who has no tag is not waited for."""
    assert (await run.client.get(f"{BASE}/{PATHS['records']}&wait={wait}")).status_code == 200


@pytest.mark.parametrize("path", [PATHS["records"], PATHS["nothing, of a task"]])
async def test_many_who_wait_cost_one_look_an_interval(
    run: QueryService, serve: Serve, redis_url: str, path: str
) -> None:
    """However many they are; and what has changed is read once for all."""
    tag = await tag_of(run, path)
    with connected(redis_url) as redis:
        redis.config_resetstat()
        began_s = time.monotonic()
        asked = [asyncio.create_task(polled(run, f"{path}&x={n}", tag, LONG_S)) for n in range(200)]
        await asyncio.wait(asked, timeout=12 * INTERVAL_S)
        looks = (time.monotonic() - began_s) / INTERVAL_S
        stat = redis.info("commandstats")
    assert not any(one.done() for one in asked)
    calls = {name: stat.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("hget", "hmget", "evalsha")}
    # A look is one small read, or two in one go; where that does not tell, the page is read too. Before they begin to
    # wait, all ask once, which takes some looks more.
    assert max(calls.values()) <= 2 * (looks + 6)
    assert sum(calls.values()) <= 3 * (looks + 6)
    await serve(event("record.finished", status="FAILED", at="2021-05-12T12:00:01Z"))
    answers = await asyncio.wait_for(asyncio.gather(*asked), 10)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["traceId"] for answer in answers}) == 200


async def test_who_leaves_is_waited_for_no_more(run: QueryService, redis_url: str, redis_prefix: str) -> None:
    """Nobody looks at the page then."""
    looks = 0

    async def count() -> None:
        nonlocal looks
        looks += 1

    def store(connection: CommandRunner) -> StoreQueries:
        return StoreQueries(Intercepted(connection, before=count))

    async with live(redis_url, redis_prefix, timings=TIMINGS, store=store) as service:
        tag = await tag_of(run, PATHS["details"])
        asked = asyncio.create_task(polled(service, PATHS["details"], tag, LONG_S))
        await until(lambda: looks > 3)
        asked.cancel()
        await until(lambda: not service.connections())
        await asyncio.sleep(2 * INTERVAL_S)
        seen = looks
        await asyncio.sleep(4 * INTERVAL_S)
        assert looks == seen


async def test_a_stopping_service_keeps_nobody_waiting(run: QueryService, redis_url: str, redis_prefix: str) -> None:
    """304 at once."""
    async with live(redis_url, redis_prefix, timings=TIMINGS) as service:
        tag = await tag_of(run, PATHS["details"])
        asked = asyncio.create_task(polled(service, PATHS["details"], tag, LONG_S))
        await until(lambda: bool(service.connections("/detail/")))
        await asyncio.wait([asked], timeout=2 * INTERVAL_S)
        service.server.should_exit = True
        assert (await asyncio.wait_for(asked, 5)).status_code == 304


async def test_more_than_may_wait_are_refused(run: QueryService, redis_url: str, redis_prefix: str) -> None:
    """Those who do not want to wait are answered."""
    async with live(redis_url, redis_prefix, timings=TIMINGS, limits=Limits(most_waiting_clients=0)) as service:
        tag = await tag_of(run, PATHS["details"])
        answer = await polled(service, PATHS["details"], tag, 1)
        refused(answer, 503, 250102)
        assert answer.headers["retry-after"] == "2"
        assert (await polled(service, PATHS["details"], tag, 0)).status_code == 304


@pytest.mark.parametrize("path", ["r", "overview/r", "detail/list/r", "list/t"])
async def test_other_answers_are_not_waited_for(
    run: QueryService, redis_url: str, redis_prefix: str, path: str
) -> None:
    """There the parameter is one of those that are ignored."""
    tag = await tag_of(run, f"{path}?x=1")
    async with asyncio.timeout(10):
        answer = await polled(run, f"{path}?x=1", tag, LONG_S)
    assert answer.status_code == 304
    await write(redis_url, redis_prefix, [event("record.progressed", replicatedBytes=1, at="2021-05-12T12:00:01Z")])
