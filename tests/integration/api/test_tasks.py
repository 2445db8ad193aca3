"""Tasks with their latest records: bodies, heads, errors, access and tags."""

from __future__ import annotations

import asyncio
import json
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest

from replog_api.contracts import schemas
from tests.support import streams
from tests.support.api.polling import START_MS, Poller, swept
from tests.support.api.refusals import refused
from tests.support.api.tokens import MINE, TOKENS, bearer
from tests.support.query_service import event, in_order, page_of, serving, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from tests.support.api.served import Awkward, Serve, ServiceClock
    from tests.support.query_service import QueryService

TASKS = "/replication/api/task"
PAGE = "pageNumber=1&pageSize=5"
STATUSES = ("", "RUNNING", "SUCCESS", "FAILED")
BOTH = [f"{TASKS}/latest?key=t&key=unknown", f"{TASKS}/list?prefix=t&{PAGE}"]


def latest_of(*keys: str) -> str:
    """The URL of the latest records of tasks."""
    return f"{TASKS}/latest?{urlencode([('key', key) for key in keys])}"


async def assert_answers(service: QueryService, path: str, expected: Any, kind: Any) -> httpx.Response:
    """Require ``expected`` as data, keys in this order, of the documented model."""
    answer = await service.client.get(path)
    assert answer.status_code == 200, answer.text
    assert in_order(answer.content)[2] == ("data", in_order(json.dumps(expected)))
    schemas.Envelope[kind].model_validate_json(answer.content)
    return answer


@pytest.mark.every_topology
async def test_pages_of_tasks(awkward: Awkward) -> None:
    """By every prefix of every key and every status, first to past the end."""
    keys = awkward.model.task_keys
    prefixes = {key[:length] for key in keys for length in (0, 1, 5, 128)} | {"no such", "plain\x00", ".*"}
    for prefix, status in product(sorted(prefixes), STATUSES):
        rows = awkward.model.tasks(prefix, status)
        for number, size in ((0, 1), (2, 2), (1, 1000), (9, 1000)):
            query = urlencode({"prefix": prefix, "status": status, "pageNumber": number, "pageSize": size})
            data = page_of(rows, number, size)
            answer = await assert_answers(awkward.service, f"{TASKS}/list?{query}", data, schemas.Page[schemas.Task])
            assert answer.headers["x-total-count"] == str(len(rows))


@pytest.mark.every_topology
async def test_latest_records_of_keys(awkward: Awkward) -> None:
    """In the order asked, whatever the keys are called and however often they are asked for."""
    keys = Random(1).sample([*awkward.model.task_keys * 2, "unknown", "a;b", "ключ"], k=12)
    await assert_answers(awkward.service, latest_of(*keys), awkward.model.latest(keys), list[schemas.Task])
    many = [f"unknown-{number}" for number in range(199)] + keys[:1]
    await assert_answers(awkward.service, latest_of(*many), awkward.model.latest(many), list[schemas.Task])
    spelled = f"{TASKS}/latest?key=plain&KEY=x&%6bey=with%20space&x=%ff&key=with+space"
    expected = awkward.model.latest(["plain", "with space", "with space"])
    await assert_answers(awkward.service, spelled, expected, list[schemas.Task])


async def test_a_page_links_to_others(serve: Serve) -> None:
    """With everything that was asked."""
    service = await serve(*(event("record.started", recordId=f"r{i}", taskKey=f"t{i}") for i in range(7)))
    answer = await service.client.get(f"{TASKS}/list?prefix=t&pageNumber=2&pageSize=2")
    assert answer.headers["x-total-count"] == "7"
    numbers = {"first": 1, "prev": 1, "next": 3, "last": 4}
    path = f"{TASKS}/list?prefix=t&pageSize=2"
    links = [f'<{path}&pageNumber={number}>; rel="{relation}"' for relation, number in numbers.items()]
    assert answer.headers["link"] == ", ".join(links)


async def test_times_are_in_the_zone_that_is_asked_for(serve: Serve) -> None:
    """Which the answer names."""
    service = await serve(event("record.started"))
    for path in BOTH:
        answer = await service.client.get(path, headers={"X-BKREPO-TIME-ZONE": "+8"})
        data = answer.json()["data"]
        [task, *_] = data if isinstance(data, list) else data["records"]
        assert task["record"]["startTime"] == "2021-05-12T20:00:00.000"
        assert answer.headers["x-bkrepo-time-zone"] == "+0800"


@pytest.mark.parametrize(
    ("path", "code", "parameter"),
    [
        ("latest", 250103, "key is missing"),
        ("latest?key=", 250103, "key is missing"),
        ("latest?key=a&key=", 250103, "key is missing"),
        ("latest?Key=a", 250103, "key is missing"),
        (f"latest?{'key=a&' * 201}", 250131, "key is given 201 times; at most 200 are allowed"),
        (f"latest?key=a&key={'x' * 129}", 250131, "key has 129 characters"),
        ("latest?key=%00", 250131, "key contains a control character"),
        ("latest?key=%ff", 250131, "key is not UTF-8"),
        ("list", 250103, "pageNumber"),
        ("list?pageNumber=1", 250103, "pageSize"),
        ("list?pageNumber=-1&pageSize=1", 250131, "pageNumber"),
        ("list?pageNumber=1&pageSize=1001", 250131, "pageSize"),
        (f"list?{PAGE}&status=DONE", 250131, "status"),
    ],
)
async def test_what_is_wrong_is_named(service: QueryService, path: str, code: int, parameter: str) -> None:
    """In both languages."""
    assert parameter in refused(await service.client.get(f"{TASKS}/{path}"), 400, code)
    chinese = await service.client.get(f"{TASKS}/{path}", headers={"Accept-Language": "zh"})
    assert parameter.split(" ", maxsplit=1)[0] in refused(chinese, 400, code)
    assert chinese.headers["content-language"] == "zh"


async def test_only_get_is_answered(service: QueryService) -> None:
    """At these URLs, and at no longer ones."""
    for path in BOTH:
        refused(await service.client.post(path), 405, 250112)
        refused(await service.client.get(path.replace("?", "/x?")), 404, 250130)


@pytest.fixture
async def limited(redis_url: str, redis_prefix: str) -> AsyncIterator[QueryService]:
    """A service that wants tokens; one of them reads what is under mine/ only."""
    keys = ("mine/1", "mine/2", "mine/sub/3", "mine", "others", "a")
    await write(redis_url, redis_prefix, [event("record.started", recordId=key, taskKey=key) for key in keys])
    async with serving(redis_url, redis_prefix, api_tokens=TOKENS) as running:
        yield running


async def ask(service: QueryService, path: str) -> httpx.Response:
    """What the limited token gets."""
    return await service.client.get(f"{TASKS}/{path}", headers=bearer(MINE))


@pytest.mark.parametrize(
    ("prefix", "keys"),
    [
        *((prefix, ["mine/sub/3", "mine/2", "mine/1"]) for prefix in ("", "m", "mine", "mine/")),
        ("mine/s", ["mine/sub/3"]),
        ("mine/x", []),
    ],
)
async def test_a_limited_token_sees_its_tasks(limited: QueryService, prefix: str, keys: list[str]) -> None:
    """With totals that are of these alone."""
    answer = await ask(limited, f"list?prefix={quote(prefix)}&{PAGE}")
    data = answer.json()["data"]
    assert ([task["taskKey"] for task in data["records"]], data["totalRecords"]) == (keys, len(keys))
    assert answer.headers["x-total-count"] == str(len(keys))


@pytest.mark.parametrize("path", [f"list?prefix={prefix}&{PAGE}" for prefix in ("o", "Mine", "mine1", "mine%252F")])
async def test_a_prefix_beside_the_token_s_is_refused(limited: QueryService, path: str) -> None:
    """Whether there are such tasks or not."""
    assert "prefix" in refused(await ask(limited, path), 403, 250113)
    refused(await limited.client.get(f"{TASKS}/{path}"), 401, 250114)


async def test_one_forbidden_key_is_enough(limited: QueryService) -> None:
    """The message names it."""
    assert (await ask(limited, "latest?key=mine/1&key=mine/none")).status_code == 200
    for key in ("others", "none", "mine"):
        assert f"'{key}'" in refused(await ask(limited, f"latest?key=mine/1&key={key}"), 403, 250113)


@pytest.mark.every_topology
@pytest.mark.parametrize("path", [*BOTH, f"{TASKS}/list?status=RUNNING&{PAGE}"])
async def test_every_change_is_seen(serve: Serve, path: str) -> None:
    """Of the latest record, of its details' roll-up, and of which is the latest; what changes nothing is none."""
    service = await serve(event("record.started"), event("detail.started"))
    poller = Poller(service, path)
    assert [await poller.poll() for _ in range(3)] == [200, 304, 304]
    for change in (
        event("record.progressed", replicatedBytes=5, at="2021-05-12T12:00:01Z"),
        event("detail.started", detailId="e"),
        event("record.progressed", recordId="r", attempt=1, totalBytes=7, at="2021-05-12T12:00:03Z"),
        event("record.started", recordId="s", at="2021-05-12T12:00:01Z"),
        event("record.finished", recordId="s", status="FAILED", at="2021-05-12T12:00:02Z"),
    ):
        before = poller.data
        await serve(change)
        assert [await poller.poll() for _ in range(2)] == [200, 304]
        # What is no longer RUNNING is off its list.
        assert poller.data != before
        await serve(change)
        assert await poller.poll() == 304


@pytest.mark.parametrize("path", BOTH)
async def test_what_is_unknown_has_a_tag_too(serve: Serve, path: str) -> None:
    """Until it is known."""
    service = await serve()
    poller = Poller(service, path)
    assert [await poller.poll() for _ in range(3)] == [200, 304, 304]
    await serve(event("record.started"))
    assert [await poller.poll() for _ in range(2)] == [200, 304]


@pytest.mark.parametrize("path", BOTH)
async def test_time_alone_makes_an_answer_another(serve: Serve, clock: ServiceClock, path: str) -> None:
    """At the very millisecond when a row becomes stale."""
    service = await serve(event("record.started"))
    poller = Poller(service, path)
    seen = []
    for clock.fixed_ms in (START_MS, START_MS + 900_000, START_MS + 900_001, START_MS + 10**9):
        seen.append(await poller.poll())
    assert seen == [200, 304, 200, 304]


@pytest.mark.parametrize("path", BOTH)
async def test_what_comes_back_is_not_what_was(serve: Serve, redis_url: str, redis_prefix: str, path: str) -> None:
    """A task that retention emptied counts its changes from the start; its tags are others all the same."""
    service = await serve(event("record.started", at="2020-05-12T12:00:00Z"))
    poller = Poller(service, path)
    assert [await poller.poll() for _ in range(2)] == [200, 304]
    had = poller.tag
    await swept(redis_url, redis_prefix)
    assert [await poller.poll() for _ in range(2)] == [200, 304]
    await serve(event("record.started"))
    assert [await poller.poll() for _ in range(2)] == [200, 304]
    assert poller.tag != had


async def test_an_answer_is_the_same_as_long_as_its_tag(redis_url: str, redis_prefix: str) -> None:
    """While a stream with awkward names comes in."""
    random = Random(11)
    events = [e for e in streams.awkward_stream(random) if "taskKey" in e]
    keys = sorted({e["taskKey"] for e in events})
    paths = [latest_of(*keys), latest_of(*keys[:2])]
    paths += [
        f"{TASKS}/list?pageNumber={number}&pageSize=3&prefix={prefix}&status={status}"
        for number, prefix, status in product((1, 2), ("", "plain"), ("", "RUNNING"))
    ]
    async with serving(redis_url, redis_prefix) as service:
        pollers = [Poller(service, path) for path in paths]
        for start in range(0, len(events), 6):
            await write(redis_url, redis_prefix, events[start : start + 6])
            await asyncio.gather(*(poller.poll() for poller in pollers))
            assert {*await asyncio.gather(*(poller.poll() for poller in pollers))} == {304}


async def test_tags_are_of_one_question(serve: Serve) -> None:
    """Of keys in their order, of a page, its prefix and status."""
    service = await serve(event("record.started"), event("record.started", recordId="s", taskKey="t2"))
    paths = [latest_of("t"), latest_of("t", "t2"), latest_of("t2", "t"), latest_of("t", "t")]
    paths += [f"{TASKS}/list?{PAGE}{more}" for more in ("", "&prefix=t", "&status=RUNNING", "&prefix=t2")]
    paths += [f"{TASKS}/list?pageNumber=2&pageSize=5", f"{TASKS}/list?pageNumber=1&pageSize=6"]
    tags = [(await service.client.get(path)).headers["etag"] for path in paths]
    assert len({*tags}) == len(tags)


async def test_a_tag_tells_nothing_of_others(limited: QueryService, redis_url: str, redis_prefix: str) -> None:
    """What others publish does not move the tag of a token that may not read it; what it may read does."""
    paths = [f"list?{query}{PAGE}" for query in ("", "prefix=mine/s&", "status=RUNNING&", "prefix=mine/none&")]
    paths.append("latest?key=mine/1")

    async def tags() -> list[str]:
        return [(await ask(limited, path)).headers["etag"] for path in paths]

    before = await tags()
    for number in range(3):
        others = event("record.started", recordId=f"o{number}", taskKey=f"others/{number}")
        await write(redis_url, redis_prefix, [others, event("record.progressed", recordId="others", taskKey="others")])
        assert await tags() == before
        for path, tag in zip(paths, before, strict=True):
            answer = await limited.client.get(f"{TASKS}/{path}", headers=bearer(MINE) | {"If-None-Match": tag})
            assert answer.status_code == 304
    await write(redis_url, redis_prefix, [event("record.started", recordId="m", taskKey="mine/sub/4")])
    assert [old == new for old, new in zip(before, await tags(), strict=True)] == [False, False, False, True, True]


async def test_a_tag_tells_which_task_shows_a_record(serve: Serve) -> None:
    """One record may be the latest of either of two tasks, or of both."""
    service = await serve(event("record.started", taskKey="a"))
    before = (await service.client.get(latest_of("a", "b"))).headers["etag"]
    await serve(event("record.started", taskKey="b"))
    assert (await service.client.get(latest_of("a", "b"))).headers["etag"] != before
