"""What stands in the head of requests and answers: time zones, languages, totals and links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.query_service import BASE, event, path_of, serving
from tests.support.streams import AWKWARD_IDS

if TYPE_CHECKING:
    from tests.support.api.served import Awkward, Serve
    from tests.support.query_service import QueryService

ZONE = "X-BKREPO-Time-Zone"


@pytest.fixture
async def run(serve: Serve) -> QueryService:
    """A service that knows one record with one detail."""
    return await serve(
        event("record.started", at="2021-05-12T12:00:00.5Z"), event("detail.started", at="2021-05-12T12:00:00.5Z")
    )


async def started(service: QueryService, zone: str | None) -> tuple[set[str], str]:
    """The start that all endpoints show, and the zone that they say it is in."""
    found, offsets = set[str](), set[str]()
    for path, query in (("list/t", ""), ("detail/list/r", ""), ("page/t", "x"), ("detail/page/r", "x"), ("r", "")):
        window = "?pageNumber=1&pageSize=5" if query else ""
        answer = await service.client.get(
            f"{BASE}/{path}{window}", headers={"X-BKREPO-TIME-ZONE": zone} if zone else {}
        )
        data = answer.json()["data"]
        rows = data if isinstance(data, list) else data.get("records") or [data["record"]]
        found |= {row["startTime"] for row in rows}
        offsets.add(answer.headers[ZONE])
    [offset] = offsets
    return found, offset


@pytest.mark.parametrize(
    ("zone", "start", "offset"),
    [
        (None, "2021-05-12T12:00:00.500", "+0000"),
        ("", "2021-05-12T12:00:00.500", "+0000"),
        ("Asia/Shanghai", "2021-05-12T20:00:00.500", "+0800"),
        ("+08:00", "2021-05-12T20:00:00.500", "+0800"),
        ("+0800", "2021-05-12T20:00:00.500", "+0800"),
        ("+8", "2021-05-12T20:00:00.500", "+0800"),
        ("-03:30", "2021-05-12T08:30:00.500", "-0330"),
        ("8", "2021-05-12T20:00:00.500", "+0800"),
        ("0", "2021-05-12T12:00:00.500", "+0000"),
        ("5.5", "2021-05-12T17:30:00.500", "+0530"),
        ("-3.5", "2021-05-12T08:30:00.500", "-0330"),
        ("GMT+8", "2021-05-12T20:00:00.500", "+0800"),
        ("Z", "2021-05-12T12:00:00.500", "+0000"),
    ],
)
async def test_times_are_in_the_zone_that_is_asked_for(
    run: QueryService, zone: str | None, start: str, offset: str
) -> None:
    """In every answer that shows one; each says in which."""
    assert await started(run, zone) == ({start}, offset)


async def test_times_are_in_the_service_s_zone_else(run: QueryService, redis_url: str, redis_prefix: str) -> None:
    """Which its operator sets."""
    async with serving(redis_url, redis_prefix, time_zone="Asia/Kathmandu") as nepalese:
        assert await started(nepalese, None) == ({"2021-05-12T17:45:00.500"}, "+0545")
        assert await started(nepalese, "UTC") == ({"2021-05-12T12:00:00.500"}, "+0000")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "+25", "NaN", "Asia", "../../etc/passwd", "x" * 3000, "日"])
@pytest.mark.parametrize(("path", "status"), [("list/t", 200), ("r", 200), ("no/such/url", 404)])
@pytest.mark.usefixtures("run")
async def test_what_is_no_zone_is_as_none(redis_url: str, redis_prefix: str, path: str, status: int, zone: str) -> None:
    """The answer is that in the service's own zone, with its tag."""
    async with serving(redis_url, redis_prefix, time_zone="Asia/Kathmandu") as nepalese:
        plain = await nepalese.client.get(f"{BASE}/{path}")
        answer = await nepalese.client.get(f"{BASE}/{path}", headers=[(b"x-bkrepo-time-zone", zone.encode())])
    assert (answer.status_code, answer.headers[ZONE]) == (status, "+0545")
    assert answer.json() | {"traceId": ""} == plain.json() | {"traceId": ""}
    assert answer.headers.get("etag") == plain.headers.get("etag")


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/metrics", "/openapi.json", "/asyncapi.json", "/nowhere", f"{BASE}/list/a/b"]
)
async def test_every_answer_names_its_zone(run: QueryService, path: str) -> None:
    """Also one without times."""
    assert (await run.client.get(path)).headers[ZONE] == "+0000"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("page/t", 400, "缺少参数 pageNumber"),
        ("page/t?pageNumber=1&pageSize=0", 400, "参数 pageSize 的值 '0' 无效；允许：1 到 1000 的整数"),
        ("no-such", 400, "未找到 id 为 no-such 的执行记录"),
        ("a/b/c/d", 404, f"{BASE}/a/b/c/d 不存在"),
    ],
)
async def test_errors_are_in_chinese_where_that_is_preferred(
    run: QueryService, path: str, status: int, message: str
) -> None:
    """And in English else."""
    for language, shown in (("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en,zh;q=0.9", "en")):
        answer = await run.client.get(f"{BASE}/{path}", headers={"Accept-Language": language})
        assert (answer.status_code, answer.headers["content-language"]) == (status, shown)
        assert (answer.json()["message"] == message) == (shown == "zh")


async def walked(service: QueryService, url: str, relation: str) -> list[Any]:
    """All rows, from one page to the next by its links."""
    rows: list[Any] = []
    while url:
        answer = await service.client.get(url)
        data = answer.json()["data"]
        assert answer.headers["x-total-count"] == str(data["totalRecords"])
        rows.append(data["records"])
        url = answer.links.get(relation, {}).get("url", "")
    return rows


@pytest.mark.parametrize("record_id", AWKWARD_IDS)
async def test_links_lead_through_all_pages(awkward: Awkward, record_id: str) -> None:
    """Behind any id and with any filter, forth and back."""
    rows = [row for row in awkward.model.details(record_id) if row["status"] == "SUCCESS"]
    path = path_of("detail/page", record_id, "pageSize=3&status=SUCCESS&pageNumber=1&clusterName=")
    pages = await walked(awkward.service, path, "next")
    assert [row for page in pages for row in page] == rows
    last = (await awkward.service.client.get(path)).links["last"]["url"]
    assert [row for page in reversed(await walked(awkward.service, last, "prev")) for row in page] == rows


async def test_records_are_linked_as_details_are(awkward: Awkward) -> None:
    """On both paths that show them."""
    for key in awkward.model.task_keys:
        for endpoint in ("page", "detail/page"):
            if endpoint == "detail/page" and key in awkward.model.record_ids:
                continue
            pages = await walked(awkward.service, path_of(endpoint, key, "pageNumber=1&pageSize=7"), "next")
            assert [row for page in pages for row in page] == awkward.model.records(key)
