"""Dear questions: not too many at once, no longer than somebody waits for them, and counted as what they are."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import httpx
import pytest
from structlog.testing import capture_logs

from replog.errors import StoreUnavailable
from replog.store.client.scripts import FACETS, FOLLOW
from replog.store.read.queries import StoreQueries
from replog_api.admission.limits import BURST_S, Limits
from tests.support.api.refusals import refused
from tests.support.live import live, until
from tests.support.query_service import BASE, event, of_requests, write
from tests.support.store.intercepted import Intercepted

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner
    from tests.support.live import LiveService

#: Rows of a list that is read in several parts.
ROWS = 1800
LIST = f"{BASE}/detail/list/r"
SEARCH = f"{BASE}/detail/page/r?pageNumber=1&pageSize=5&clusterName=c"
#: Longer than any of these tests may take.
LONG_S = 60.0


class HeldUpReads:
    """Where reads stand still until they are let through."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = self.most_inside = self.cancelled = 0

    def store(self, connection: CommandRunner) -> StoreQueries:
        """A read port of which each search, and each part of a list, stands here first."""
        return StoreQueries(Intercepted(connection, FACETS, FOLLOW, before=self.wait))

    async def wait(self) -> None:
        """Stand here; who is cancelled is counted."""
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.inside -= 1


@pytest.fixture
def held_up() -> HeldUpReads:
    """Stands before every search, and before every part of a list, of services that have its store."""
    return HeldUpReads()


class FailsAfter:
    """A store that is away once so many parts of a list were read."""

    def __init__(self, parts: int) -> None:
        self._left = parts

    def __call__(self, connection: CommandRunner) -> StoreQueries:
        """Make the read port."""
        return StoreQueries(Intercepted(connection, FOLLOW, before=self._read))

    async def _read(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise StoreUnavailable("timeout", "no answer")


@pytest.fixture(autouse=True)
async def _record(redis_url: str, redis_prefix: str) -> None:
    details = [event("detail.started", detailId=f"d{n}", remoteCluster=f"c{n % 7}") for n in range(ROWS)]
    await write(redis_url, redis_prefix, [event("record.started"), *details])


async def asked(service: LiveService, path: str) -> httpx.Response:
    """The answer, over a connection of its own."""
    async with httpx.AsyncClient(base_url=service.url, timeout=LONG_S) as client:
        return await client.get(path)


@pytest.mark.parametrize("path", [LIST, SEARCH])
async def test_not_too_many_are_read_at_once(
    redis_url: str, redis_prefix: str, held_up: HeldUpReads, path: str
) -> None:
    """Some wait for a moment, and the rest is told to come back; cheap questions are answered meanwhile."""
    few = Limits(
        most_lists=6,
        most_lists_waiting=4,
        list_wait_s=LONG_S,
        most_searches=6,
        most_searches_waiting=4,
        search_wait_s=LONG_S,
    )
    async with live(redis_url, redis_prefix, limits=few, store=held_up.store) as service:
        tasks = [asyncio.create_task(asked(service, f"{path}{n if path == SEARCH else ''}")) for n in range(20)]
        refusals = 20 - 3 - 2
        await until(lambda: sum(task.done() for task in tasks) == refusals)
        assert held_up.inside == 3
        assert (await asked(service, f"{BASE}/overview/r")).status_code == 200
        held_up.open.set()
        answers = await asyncio.wait_for(asyncio.gather(*tasks), LONG_S)
    assert held_up.most_inside == 3
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [503] * refusals
    for answer in answers:
        if answer.status_code != 200:
            refused(answer, 503, 250102)
            assert answer.headers["retry-after"] == "2"


@pytest.mark.parametrize("path", [LIST, SEARCH])
async def test_a_place_is_not_waited_for_too_long(
    redis_url: str, redis_prefix: str, held_up: HeldUpReads, path: str
) -> None:
    """It is told before anything is sent."""
    few = Limits(most_lists=2, list_wait_s=0.05, most_searches=2, search_wait_s=0.05)
    async with live(redis_url, redis_prefix, limits=few, store=held_up.store) as service:
        first = asyncio.create_task(asked(service, path))
        await until(lambda: held_up.inside == 1)
        refused(await asked(service, f"{path}{1 if path == SEARCH else ''}"), 503, 250102)
        held_up.open.set()
        assert (await first).status_code == 200


@pytest.mark.parametrize("path", [LIST, SEARCH])
async def test_a_read_ends_with_who_asked(redis_url: str, redis_prefix: str, held_up: HeldUpReads, path: str) -> None:
    """Its place is free then, and nothing of it is an error."""
    few = Limits(most_lists=4, most_lists_waiting=0, most_searches=4, most_searches_waiting=0)
    with capture_logs() as logs:
        async with live(redis_url, redis_prefix, limits=few, store=held_up.store) as service:
            tasks = [asyncio.create_task(asked(service, path)) for _ in range(2)]
            await until(lambda: held_up.inside == 2)
            tasks[0].cancel()
            await until(lambda: held_up.inside == 1)
            tasks[1].cancel()
            await until(lambda: held_up.inside == 0)
            assert held_up.cancelled == 2
            held_up.open.set()
            assert (await asked(service, path)).status_code == 200
            route = f"{BASE}/detail/{'list' if path == LIST else 'page'}/{{recordId}}"
            assert await service.metric(f'replog_http_requests_total{{route="{route}",status="499"}}') >= 2
    assert not of_requests(logs)


@pytest.mark.parametrize(
    ("path", "then"),
    [
        *((f"{BASE}/overview/r", 200), (f"{BASE}/list/t", 200), (LIST, 429), (SEARCH, 429)),
        *((f"{BASE}/detail/counts/r", 200), (f"{BASE}/detail/reasons/r", 429), (f"{BASE}/detail/export/r", 429)),
        (f"{BASE.removesuffix('/record')}/runs?key=t", 200),
        (f"{BASE.removesuffix('/record')}/silent?pageNumber=1&pageSize=5", 429),
    ],
)
async def test_dear_questions_count_as_several(redis_url: str, redis_prefix: str, path: str, then: int) -> None:
    """Where they had to be read: two cheap ones may come at once, and a short list is cheap."""
    async with live(redis_url, redis_prefix, api_requests_per_s=2.5 / BURST_S) as service:
        assert (await asked(service, path)).status_code == 200
        assert (await asked(service, f"{BASE}/overview/r")).status_code == then


@pytest.mark.parametrize("query", ["format=csv", "format=ndjson&clusterName=c"])
async def test_an_export_whose_store_fails_is_broken_off(redis_url: str, redis_prefix: str, query: str) -> None:
    """So that nobody takes the part that came for all of it."""
    with capture_logs() as logs:
        async with live(redis_url, redis_prefix, store=FailsAfter(2)) as service:
            with pytest.raises(httpx.RemoteProtocolError):
                await asked(service, f"{BASE}/detail/export/r?{query}")
            assert (await asked(service, "/livez")).status_code == 200
    assert [(line["event"], line["kind"]) for line in of_requests(logs)] == [("list_broken_off", "timeout")]


async def test_a_list_whose_store_fails_is_one_line(
    redis_url: str, redis_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The body is incomplete, and there is no traceback."""
    with capture_logs() as logs, caplog.at_level(logging.INFO):
        async with live(redis_url, redis_prefix, store=FailsAfter(3)) as service:
            with pytest.raises(httpx.RemoteProtocolError):
                await asked(service, LIST)
            assert (await asked(service, "/livez")).status_code == 200
    assert [(line["event"], line["kind"]) for line in of_requests(logs)] == [("list_broken_off", "timeout")]
    assert not [record for record in caplog.records if record.name.startswith("uvicorn") and record.levelno > 20]
