"""The access log: off by default, one line a request, and nothing secret in it."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from structlog.testing import capture_logs

from replog.settings import ApiSettings, load
from replog_api.admission.proxies import Proxies, parse_proxies
from replog_api.app import create_app
from replog_api.observability.access_log import MAX_PATH
from tests.support.api.tokens import ALL, STRANGE, TOKENS, bearer
from tests.support.query_service import BASE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TRACE = "0af7651916cd43dd8448eb211c80319c"
PROXY, CLIENT = "10.0.0.1", "203.0.113.7"


@asynccontextmanager
async def client_of(*, proxies: str = "", **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client, behind the address of a proxy, of a service whose store does not answer."""
    app = create_app(
        load(ApiSettings, redis_url="redis://127.0.0.1:1/0", **settings), proxies=Proxies(parse_proxies(proxies))
    )
    transport = httpx.ASGITransport(app, client=(PROXY, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def lines_of(path: str, *, method: str = "GET", proxies: str = "", headers: Any = None, **settings: Any) -> Any:
    """The lines of the access log that a request makes."""
    async with client_of(proxies=proxies, **settings) as client:
        with capture_logs() as lines:
            await client.request(method, path, headers=headers)
    return [line for line in lines if line["event"] == "request_answered"]


async def test_it_is_off_by_default() -> None:
    assert await lines_of("/livez") == []


async def test_a_request_is_one_line() -> None:
    """With all that tells whose it was, and how it ended."""
    headers = bearer(ALL) | {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    (line,) = await lines_of(
        f"{BASE}/page/a%2Fb?pageNumber=1&pageSize=5", headers=headers, api_access_log=True, api_tokens=TOKENS
    )
    assert 0 < line.pop("duration_s") < 60
    assert line == {
        "event": "request_answered",
        "log_level": "info",
        "method": "GET",
        "route": "/replication/api/task/record/page/{key}",
        "path": f"{BASE}/page/a%2Fb",
        "status": 503,
        "client": PROXY,
        "token": "ops",
        "trace_id": TRACE,
    }


@pytest.mark.parametrize(
    ("path", "method", "status", "route"),
    [
        ("/livez", "HEAD", 200, "/livez"),
        ("/no/such/url", "GET", 401, "unknown"),
        (f"{BASE}/r", "GET", 401, "unknown"),
        ("/openapi.json", "GET", 200, "/openapi.json"),
    ],
)
async def test_every_request_is_logged(path: str, method: str, status: int, route: str) -> None:
    """Those that are refused, too; one without a valid token names none."""
    (line,) = await lines_of(path, method=method, headers=bearer(STRANGE), api_access_log=True, api_tokens=TOKENS)
    assert (line["method"], line["status"], line["route"], line["token"]) == (method, status, route, None)
    assert re.fullmatch(r"[0-9a-f]{32}", line["trace_id"])


@pytest.mark.parametrize(("proxies", "client"), [("", PROXY), ("10.0.0.0/8", CLIENT)])
async def test_the_client_is_who_a_trusted_proxy_says(proxies: str, client: str) -> None:
    """And nobody else: anyone can send the header."""
    (line,) = await lines_of("/livez", headers={"X-Forwarded-For": CLIENT}, proxies=proxies, api_access_log=True)
    assert line["client"] == client


async def test_no_secret_is_logged() -> None:
    """No token, in a header or in a query, and no hash of one; and no path without an end."""
    path = f"/{'x' * 2000}?access_token={ALL}&password=hunter2"
    async with client_of(api_access_log=True, api_tokens=TOKENS) as client:
        with capture_logs() as lines:
            await client.get(path, headers=bearer(ALL))
    text = str(lines)
    assert ALL not in text
    assert "hunter2" not in text
    assert not any(entry.split(":")[1] in text for entry in TOKENS.split(","))
    assert len(lines[0]["path"]) == MAX_PATH
