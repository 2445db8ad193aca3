"""A token reads what it may read, by whatever way, and learns nothing of the rest."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from replog_api.admission.limits import BURST_S
from tests.support.api.broken_store import broken_store
from tests.support.api.refusals import refused
from tests.support.api.tokens import ALL, MINE, STRANGE, TOKENS, bearer
from tests.support.query_service import BASE, event, of_requests, serving, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from tests.support.query_service import QueryService


PAGE = "?pageNumber=1&pageSize=5"
PATHS = [
    *(f"list/{key}" for key in ("mine%2Ft", "others")),
    *(f"{endpoint}/{key}{PAGE}" for endpoint in ("page", "detail/page") for key in ("mine%2Ft", "others")),
    *(f"{endpoint}{record}" for endpoint in ("", "overview/", "detail/list/") for record in ("m", "o", "x")),
    *(f"detail/page/{record}{PAGE}" for record in ("m", "o", "x")),
]


@pytest.fixture
async def service(redis_url: str, redis_prefix: str) -> AsyncIterator[QueryService]:
    """Record m is mine, o is others', b of both, d has details only; one is called as a task of mine."""
    events = [
        event("record.started", recordId="m", taskKey="mine/t"),
        event("record.started", recordId="o", taskKey="others"),
        event("record.started", recordId="b", taskKey="others"),
        event("record.progressed", recordId="b", taskKey="mine/t"),
        event("detail.started", recordId="d"),
        event("record.started", recordId="mine/o", taskKey="others"),
        *(event("detail.started", recordId=record_id) for record_id in ("m", "o", "b", "mine/o")),
    ]
    await write(redis_url, redis_prefix, events)
    async with serving(redis_url, redis_prefix, api_tokens=TOKENS) as running:
        yield running


async def ask(service: QueryService, path: str, secret: str) -> httpx.Response:
    """What a token gets."""
    return await service.client.get(f"{BASE}/{path}", headers=bearer(secret))


@pytest.mark.parametrize("path", [*PATHS, "no/such/url", "list/" + "x" * 129])
async def test_a_stranger_learns_nothing(service: QueryService, path: str) -> None:
    """Not even which URLs and parameters there are."""
    none = await service.client.get(f"{BASE}/{path}")
    refused(none, 401, 250114)
    assert none.headers["www-authenticate"] == 'Bearer realm="replog"'
    wrong = await ask(service, path, STRANGE)
    refused(wrong, 401, 250114)
    assert wrong.headers["www-authenticate"] == 'Bearer realm="replog", error="invalid_token"'


@pytest.mark.parametrize("path", PATHS)
async def test_a_token_without_prefix_reads_everything(service: QueryService, path: str) -> None:
    """As if nobody were asked."""
    assert (await ask(service, path, ALL)).status_code == (400 if path == "x" else 200)


@pytest.mark.parametrize(
    "path",
    [
        *("list/mine%2Ft", "list/mine%2Funknown", f"page/mine%2Ft{PAGE}", f"detail/page/mine%2Ft{PAGE}"),
        *(f"{endpoint}{record}" for endpoint in ("", "overview/", "detail/list/") for record in ("m", "b")),
        *(f"detail/page/{record}{PAGE}" for record in ("m", "b")),
    ],
)
async def test_a_limited_token_reads_its_own(service: QueryService, path: str) -> None:
    """Tasks under its prefix, and the records that were published with one."""
    answer = await ask(service, path, MINE)
    assert answer.status_code == 200
    assert answer.json() | {"traceId": ""} == (await ask(service, path, ALL)).json() | {"traceId": ""}


@pytest.mark.parametrize(
    "path",
    [
        *("list/others", "list/mine", "list/Mine%2Ft", "list/unknown"),
        *(f"page/{key}{PAGE}" for key in ("others", "unknown")),
        *(f"detail/page/{key}{PAGE}" for key in ("others", "unknown", "o", "d")),
        *(f"{endpoint}{record}" for endpoint in ("", "overview/", "detail/list/") for record in ("o", "d", "x")),
        *(f"{endpoint}mine%2Fo" for endpoint in ("", "overview/", "detail/list/")),
    ],
)
async def test_a_limited_token_reads_nothing_else(service: QueryService, path: str) -> None:
    """What it may not read and what does not exist look the same."""
    message = refused(await ask(service, path, MINE), 403, 250113)
    assert "or there is nothing" in message


async def test_a_record_called_as_a_task_does_not_show_itself(service: QueryService) -> None:
    """The path of two meanings then means the task, which is unknown, as if the record were not there."""
    answer = await ask(service, f"detail/page/mine%2Fo{PAGE}", MINE)
    assert (answer.status_code, answer.json()["data"]["records"]) == (200, [])
    assert (await ask(service, f"detail/page/mine%2Fo{PAGE}", ALL)).json()["data"]["totalRecords"] == 1


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/openapi.json", "/asyncapi.json"])
async def test_probes_need_no_token(service: QueryService, path: str) -> None:
    """Nothing there is of a task."""
    answer = await service.client.get(path)
    assert answer.status_code == 200
    assert "mine/" not in answer.text


async def test_a_token_is_nowhere_shown(redis_url: str, redis_prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Not in an answer, not in a log, not in the metrics; neither is its hash."""
    shown = []
    with capture_logs() as logs:
        async with serving(redis_url, redis_prefix, store=broken_store, api_tokens=TOKENS) as service:
            for secret in (ALL, MINE, STRANGE):
                for path in ("m", "o", "list/others", "no/such/url", "page/mine%2Ft"):
                    answer = await ask(service, path, secret)
                    shown.append(f"{answer.text} {answer.headers}")
            shown.append((await service.client.get("/metrics")).text)
    assert {line["event"] for line in of_requests(logs)} == {"request_failed"}
    shown += [str(logs), *capsys.readouterr()]
    for secret in (ALL, MINE, STRANGE):
        assert secret not in "".join(shown)
        assert sha256(secret.encode()).hexdigest() not in "".join(shown)


async def test_who_asks_too_often_is_told_when_to_come_back(redis_url: str, redis_prefix: str) -> None:
    """Each token by itself, and strangers by their address."""
    async with serving(redis_url, redis_prefix, api_tokens=TOKENS, api_requests_per_s=0.5) as strict:
        statuses = [(await ask(strict, "list/t", ALL)).status_code for _ in range(int(BURST_S))]
        assert statuses == [200, 200, 429, 429, 429]
        answer = await ask(strict, "list/t", ALL)
        refused(answer, 429, 250124)
        assert 1 <= int(answer.headers["retry-after"]) <= 2
        assert (await ask(strict, "list/mine%2F", MINE)).status_code == 200
        assert [(await ask(strict, "list/t", STRANGE)).status_code for _ in range(4)] == [401, 401, 429, 429]
        assert (await strict.client.get("/livez")).status_code == 200


async def test_a_request_has_a_size(service: QueryService) -> None:
    """Whoever sends it."""
    refused(await ask(service, f"list/t?x={'x' * 33_000}", ALL), 414, 250131)
    many = await service.client.get(f"{BASE}/list/t", headers=bearer(ALL) | {"x": "x" * 33_000})
    refused(many, 431, 250131)


@pytest.mark.parametrize(
    ("path", "cached"), [("list/mine%2Ft", "private, no-cache"), ("x", "no-store"), ("no/such/url", "no-store")]
)
async def test_browsers_are_told_to_be_careful(service: QueryService, path: str, cached: str) -> None:
    """With answers and errors alike; only answers may be kept, by who got them, and not without asking again."""
    headers = (await ask(service, path, ALL)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == cached
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", ["list/t", "r", "no/such/url"])
async def test_a_page_of_another_name_reads_nothing(redis_url: str, redis_prefix: str, path: str) -> None:
    """Though its name leads to this machine; with tokens, or where that is meant, any name is good."""
    rebound = {"Host": "evil.example:8080"}
    async with serving(redis_url, redis_prefix) as open_to_all:
        message = refused(await open_to_all.client.get(f"{BASE}/{path}", headers=rebound), 421, 250131)
        assert "header Host is 'evil.example:8080'" in message
        for probe in ("/livez", "/readyz", "/metrics", "/openapi.json"):
            assert (await open_to_all.client.get(probe, headers=rebound)).status_code == 200
    for settings in ({"api_tokens": TOKENS}, {"api_insecure": True}):
        async with serving(redis_url, redis_prefix, **settings) as careful:
            answer = await careful.client.get(f"{BASE}/{path}", headers=rebound | bearer(ALL))
            assert answer.status_code != 421


@pytest.mark.parametrize(
    "asked", ["x-bkrepo-project-id,x-bkrepo-time-zone", "x-csrftoken, x-requested-with", "x-bkrepo-uid,content-type"]
)
async def test_a_page_may_send_whatever_headers_it_likes(redis_url: str, redis_prefix: str, asked: str) -> None:
    """And its cookies, where it is named; not where every page may ask."""
    query_key = {
        "Origin": "https://dashboard.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": asked,
    }
    for origins, with_cookies in (("https://dashboard.example", "true"), ("*", None)):
        async with serving(redis_url, redis_prefix, api_cors_origins=origins) as shared:
            preflight = await shared.client.options(f"{BASE}/list/t", headers=query_key)
        assert preflight.status_code == 200, preflight.text
        assert preflight.headers["access-control-allow-headers"] == asked
        assert preflight.headers.get("access-control-allow-credentials") == with_cookies


async def test_pages_of_other_origins_may_ask_where_that_is_set(redis_url: str, redis_prefix: str) -> None:
    """Those that are named; also what is refused can be read there."""
    origin, other = "https://dashboard.example", "https://elsewhere.example"
    async with serving(redis_url, redis_prefix, api_tokens=TOKENS, api_cors_origins=origin) as shared:
        query_key = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        query_key |= {"Access-Control-Request-Headers": "authorization, if-none-match, x-bkrepo-time-zone"}
        preflight = await shared.client.options(f"{BASE}/list/t", headers=query_key)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == origin
        for headers in (bearer(ALL), {}):
            answer = await shared.client.get(f"{BASE}/list/t", headers=headers | {"Origin": origin})
            assert answer.headers["access-control-allow-origin"] == origin
            assert "ETag" in answer.headers["access-control-expose-headers"]
            denied = await shared.client.get(f"{BASE}/list/t", headers=headers | {"Origin": other})
            assert "access-control-allow-origin" not in denied.headers
