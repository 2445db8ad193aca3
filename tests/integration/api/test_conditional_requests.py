"""Who has an answer is told so, exactly as long as it is the answer."""

from __future__ import annotations

import asyncio
from itertools import product
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.support import streams
from tests.support.api.polling import START_MS, Poller, swept
from tests.support.query_service import BASE, event, path_of, serving, write
from tests.support.services.redis import connected

if TYPE_CHECKING:
    from tests.support.api.served import Serve, ServiceClock
    from tests.support.query_service import QueryService

pytestmark = pytest.mark.every_topology

PAGE = "pageNumber=1&pageSize=5"
OF_RECORD = ["detail/list/{}", f"detail/page/{{}}?{PAGE}", "overview/{}", "{}"]
OF_TASK = ["list/{}", f"page/{{}}?{PAGE}", f"detail/page/{{}}?{PAGE}"]


def questions(keys: list[str], record_ids: list[str]) -> list[str]:
    """URLs of every endpoint, with and without filters, first pages and later ones."""
    found = []
    for key in keys:
        found.append(path_of("list", key))
        found += [
            path_of("page", key, f"pageNumber={n}&pageSize=3&status={s}") for n in (1, 2) for s in ("", "RUNNING")
        ]
    for record_id in record_ids:
        found += [path_of(endpoint, record_id) for endpoint in ("", "overview", "detail/list")]
        found += [path_of("detail/page", record_id, f"pageNumber={n}&pageSize=3") for n in (1, 2)]
        found.append(path_of("detail/page", record_id, f"{PAGE}&status=SUCCESS&clusterName=d"))
    return found


async def test_an_answer_is_the_same_as_long_as_its_tag(redis_url: str, redis_prefix: str) -> None:
    """While a stream with awkward names comes in: who has an answer has the one that others get, at every step."""
    random = Random(7)
    events = streams.awkward_stream(random)
    random.shuffle(events)
    keys = sorted({e["taskKey"] for e in events if "taskKey" in e})[:3]
    record_ids = sorted({e["recordId"] for e in events})[:5]
    mine = [e for e in events if e["recordId"] in record_ids or e.get("taskKey") in keys]
    async with serving(redis_url, redis_prefix) as service:
        pollers = [Poller(service, path) for path in questions(keys, record_ids)]
        statuses = []
        for start in range(0, len(mine), -(-len(mine) // 12)):
            await write(redis_url, redis_prefix, mine[start : start + -(-len(mine) // 12)])
            statuses += await asyncio.gather(*(poller.poll() for poller in pollers))
            assert set(await asyncio.gather(*(poller.poll() for poller in pollers))) <= {304, 400}
    assert statuses.count(304) > 0
    assert statuses.count(200) > len(pollers)


@pytest.mark.parametrize("path", [path.format("r") for path in OF_RECORD] + [path.format("t") for path in OF_TASK])
async def test_every_change_is_seen(serve: Serve, path: str) -> None:
    """Of the record itself, and of the roll-up that its details make; events that change nothing are none."""
    service = await serve(event("record.started"), event("detail.started"))
    poller = Poller(service, path)
    assert [await poller.poll() for _ in range(3)] == [200, 304, 304]
    for change in (
        event("record.progressed", replicatedBytes=5, at="2021-05-12T12:00:01Z"),
        event("detail.started", detailId="e"),
        event("detail.finished", status="SUCCESS", at="2021-05-12T12:00:01Z"),
        event("record.finished", status="FAILED", at="2021-05-12T12:00:02Z"),
    ):
        await serve(change)
        assert [await poller.poll() for _ in range(2)] == [200, 304]
        await serve(change)
        assert await poller.poll() == 304


@pytest.mark.parametrize("path", [path.format("unknown") for path in (*OF_RECORD[:3], *OF_TASK)])
async def test_what_is_unknown_has_a_tag_too(serve: Serve, path: str) -> None:
    """Until it is known, as a record or as a task."""
    service = await serve()
    poller = Poller(service, path)
    assert [await poller.poll() for _ in range(3)] == [200, 304, 304]
    await serve(
        event("record.started", recordId="unknown", taskKey="unknown"), event("detail.started", recordId="unknown")
    )
    assert [await poller.poll() for _ in range(2)] == [200, 304]


async def test_tags_are_of_one_question(serve: Serve) -> None:
    """Of an endpoint, an id, a page, its filters and the zone; other parameters do not count."""
    service = await serve(event("record.started"), event("detail.started"))
    tags = []
    for path in (
        *(path.format("r") for path in OF_RECORD),
        *(path.format("t") for path in OF_TASK),
        f"detail/page/r?{PAGE}&status=RUNNING",
        f"detail/page/r?{PAGE}&version=",
        f"detail/page/r?{PAGE}&version=1",
        "detail/page/r?pageNumber=2&pageSize=5",
        "detail/page/r?pageNumber=1&pageSize=6",
    ):
        for zone in ("UTC", "+08:00", "Asia/Shanghai"):
            answer = await service.client.get(f"{BASE}/{path}", headers={"X-BKREPO-TIME-ZONE": zone})
            tags.append(answer.headers["etag"])
    # An empty filter is none.
    assert len(set(tags)) == len(tags) - 3
    headers = {"If-None-Match": ", ".join(tags), "X-BKREPO-TIME-ZONE": "-03:30"}
    assert (await service.client.get(f"{BASE}/r", headers=headers)).status_code == 200
    headers = {"If-None-Match": ", ".join(tags)}
    again = await service.client.get(
        f"{BASE}/detail/page/r?x=1&{PAGE}&wait=0", headers=headers | {"X-BKREPO-TIME-ZONE": "UTC"}
    )
    assert again.status_code == 304


@pytest.mark.parametrize("path", [path.format("r") for path in OF_RECORD] + [path.format("t") for path in OF_TASK])
async def test_any_answer_may_be_had(serve: Serve, path: str) -> None:
    """``*`` stands for all tags, several headers for one list, and strong tags for weak ones."""
    service = await serve(event("record.started"), event("detail.started"))
    tag = (await service.client.get(f"{BASE}/{path}")).headers["etag"]
    for sent in (["*"], [tag.removeprefix("W/")], ['"a"', tag], [f'"a", W/"b",{tag}']):
        answer = await service.client.get(f"{BASE}/{path}", headers=[("If-None-Match", value) for value in sent])
        assert (answer.status_code, answer.headers["etag"]) == (304, tag)
    for sent in ([], [""], ['"a"'], [tag[2:-1]]):
        answer = await service.client.get(f"{BASE}/{path}", headers=[("If-None-Match", value) for value in sent])
        assert answer.status_code == 200


async def test_what_is_not_there_is_no_match(serve: Serve) -> None:
    """Errors have no tag, and ``*`` does not hide them."""
    service = await serve()
    for path in ("no-such", "page/t", "list/" + "x" * 129):
        answer = await service.client.get(f"{BASE}/{path}", headers={"If-None-Match": "*"})
        assert answer.status_code == 400
        assert "etag" not in answer.headers


@pytest.mark.parametrize(
    "path", [path.format("r") for path in (*OF_RECORD[:2], "{}")] + [path.format("t") for path in OF_TASK]
)
async def test_time_alone_makes_an_answer_another(serve: Serve, clock: ServiceClock, path: str) -> None:
    """At the very millisecond when a row becomes stale, and at no other."""
    service = await serve(
        event("record.started"),
        event("detail.started"),
        event("detail.started", detailId="e", at="2021-05-12T12:00:05Z"),
        event("record.progressed", replicatedBytes=1, at="2021-05-12T12:00:03Z"),
    )
    poller = Poller(service, path)
    assert await poller.poll() == 200
    changes = []
    for second, last_ms in product((-1, 0, 2, 3, 4, 5, 6), (0, 1)):
        late_ms = second * 1000 + last_ms
        clock.fixed_ms = START_MS + 900_000 + late_ms
        if await poller.poll() == 200:
            changes.append(late_ms)
    of_details = path.startswith("detail/") and "/r" in path
    assert changes == ([1, 5001] if of_details else [3001])


async def test_a_long_list_turns_stale_a_little_late(serve: Serve, clock: ServiceClock) -> None:
    """Its tag is sent before its rows are read, so both are as of some seconds ago."""
    details = [event("detail.started", detailId=f"d{number}") for number in range(1100)]
    records = [event("record.started", recordId=f"r{number}") for number in range(1100)]
    service = await serve(*details, *records)
    for path in ("detail/list/r", "list/t"):
        clock.fixed_ms = START_MS + 890_000
        poller = Poller(service, path)
        assert [await poller.poll() for _ in range(2)] == [200, 304]
        assert len(poller.data) == 1100
        seen = {}
        for clock.fixed_ms in range(START_MS + 890_000, START_MS + 930_000, 2500):
            await poller.poll()
            seen[clock.fixed_ms - START_MS - 900_000] = {row["stale"] for row in poller.data}
        assert {stale for after_ms, stale in seen.items() if after_ms <= 0 for stale in stale} == {False}
        assert {stale for after_ms, stale in seen.items() if after_ms > 10_000 for stale in stale} == {True}


async def test_a_long_list_that_time_does_not_change_keeps_its_tag(serve: Serve, clock: ServiceClock) -> None:
    """Nothing in it is RUNNING."""
    over = {"status": "SUCCESS", "at": "2021-05-12T12:00:01Z"}
    details = [event("detail.finished", detailId=f"d{number}", **over) for number in range(1100)]
    records = [event("record.finished", recordId=f"r{number}", **over) for number in range(1100)]
    service = await serve(*details, *records)
    for path in ("detail/list/r", "list/t"):
        poller = Poller(service, path)
        assert await poller.poll() == 200
        for clock.fixed_ms in range(START_MS, START_MS + 2_000_000, 300_000):
            assert await poller.poll() == 304
        number = 7 if path == "list/t" else 8
        await serve(event("detail.finished", detailId=f"d{number}", status="FAILED", at="2021-05-12T12:00:02Z"))
        await serve(event("record.progressed", recordId=f"r{number}", replicatedBytes=1, at="2021-05-12T12:00:02Z"))
        assert [await poller.poll() for _ in range(2)] == [200, 304]


@pytest.mark.parametrize("path", [path.format("r") for path in OF_RECORD] + [path.format("t") for path in OF_TASK])
@pytest.mark.parametrize("erased", [False, True], ids=["removed", "erased"])
async def test_what_comes_back_is_not_what_was(
    serve: Serve, redis_url: str, redis_prefix: str, path: str, *, erased: bool
) -> None:
    """A record that retention removed, or that was erased, counts its changes from the start; its tags are others."""
    lives = [
        [event("record.started", at=f"{year}-05-12T12:00:00Z"), event("detail.started", at=f"{year}-05-12T12:00:00Z")]
        for year in (2020, 2021)
    ]
    service = await serve(*lives[0])
    poller = Poller(service, path)
    assert [await poller.poll() for _ in range(2)] == [200, 304]
    had = poller.tag
    if erased:
        await serve(event("record.erased", at="2020-12-01T00:00:00Z"))
    else:
        await swept(redis_url, redis_prefix)
    gone = await poller.poll()
    assert gone == (400 if path == "r" else 200)
    await serve(*lives[1])
    assert [await poller.poll() for _ in range(2)] == [200, 304]
    assert poller.tag != had
    answer = await service.client.get(f"{BASE}/{path}", headers={"If-None-Match": had})
    assert answer.status_code == 200


async def test_an_answer_that_is_had_costs_one_small_read(
    serve: Serve, redis_url: str, redis_prefix: str, topology: str
) -> None:
    """A look at the counters, and no script: for a task's page as many as it has records, in one go."""
    if topology != "standalone":
        pytest.skip("counts the commands of one server")
    service = await serve(event("record.started"), event("detail.started"), event("record.started", recordId="s"))
    expected = {path.format("r"): {"cmdstat_hmget": 1} for path in OF_RECORD}
    of_task = {"cmdstat_hget": 1, "cmdstat_hmget": 2}
    expected |= {path.format("t"): of_task for path in OF_TASK[:2]}
    for path, commands in expected.items():
        poller = Poller(service, path)
        assert await poller.poll() == 200
        with connected(redis_url) as redis:
            redis.config_resetstat()
            answer = await service.client.get(f"{BASE}/{path}", headers={"If-None-Match": poller.tag})
            assert answer.status_code == 304
            counted = {name: stat["calls"] for name, stat in redis.info("commandstats").items()}
        assert {
            name: calls for name, calls in counted.items() if "config" not in name and "info" not in name
        } == commands


async def test_a_change_that_many_have_missed_is_read_once(
    serve: Serve, redis_url: str, redis_prefix: str, topology: str
) -> None:
    """However many they are, each gets it, with a trace id and links of its own."""
    if topology != "standalone":
        pytest.skip("counts the commands of one server")
    service = await serve(event("record.started"), event("detail.started"))
    path = f"{BASE}/detail/page/r?{PAGE}"
    tag = (await service.client.get(path)).headers["etag"]
    await serve(event("detail.started", detailId="e"))
    with connected(redis_url) as redis:
        redis.config_resetstat()
        asked = [service.client.get(f"{path}&prefix={n}", headers={"If-None-Match": tag}) for n in range(50)]
        answers = await asyncio.gather(*asked)
        answers += [await service.client.get(f"{path}&prefix=50", headers={"If-None-Match": tag})]
        assert redis.info("commandstats")["cmdstat_evalsha"]["calls"] == 1
    assert {(answer.status_code, answer.json()["data"]["totalRecords"]) for answer in answers} == {(200, 2)}
    assert len({answer.json()["traceId"] for answer in answers}) == 51
    assert all(f"prefix={n}&" in answer.headers["link"] for n, answer in enumerate(answers))


async def counted(service: QueryService) -> float:
    """How many answers were not given."""
    text = (await service.client.get("/metrics")).text
    [line] = [line for line in text.splitlines() if line.startswith("replog_not_modified_total ")]
    return float(line.split(" ")[1])


async def test_answers_that_are_not_given_are_counted(serve: Serve) -> None:
    """By one metric."""
    service = await serve(event("record.started"))
    poller = Poller(service, "r")
    await poller.poll()
    before = await counted(service)
    for _ in range(3):
        await poller.poll()
    assert await counted(service) == before + 3
