"""Every error is an HTTP status with the envelope, whatever was asked."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from tests.support.api.broken_store import broken_store
from tests.support.api.refusals import refused
from tests.support.query_service import BASE, of_requests, serving
from tests.support.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.query_service import QueryService

PAGE = "pageNumber=1&pageSize=10"
SECRET = "hunter2"  # noqa: S105 - looked for in what is shown
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
async def service(redis_url: str) -> AsyncIterator[QueryService]:
    """A service over an empty store, for all tests here: none writes."""
    async with serving(redis_url, f"replog-test-{uuid.uuid4().hex}") as running:
        yield running


@pytest.fixture(scope="module")
async def orphan() -> AsyncIterator[QueryService]:
    """A service whose Redis is not there."""
    async with serving(f"redis://127.0.0.1:{free_port()}/0", "replog") as running:
        yield running


@pytest.mark.parametrize("path", ["page/t", "detail/page/r"])
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("", "pageNumber"),
        ("pageSize=10", "pageNumber"),
        ("pageNumber=1", "pageSize"),
        ("pageNumber=&pageSize=10", "pageNumber"),
        ("pageNumber=1&pageSize=", "pageSize"),
        ("PAGENUMBER=1&pageSize=10", "pageNumber"),
    ],
)
async def test_a_missing_parameter_is_named(service: QueryService, path: str, query: str, parameter: str) -> None:
    """Code 250103."""
    answer = await service.client.get(f"{BASE}/{path}?{query}")
    assert parameter in refused(answer, 400, 250103)


@pytest.mark.parametrize("path", ["page/t", "detail/page/r"])
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("pageNumber=-1&pageSize=10", "pageNumber"),
        ("pageNumber=1.0&pageSize=10", "pageNumber"),
        ("pageNumber=1e3&pageSize=10", "pageNumber"),
        ("pageNumber=one&pageSize=10", "pageNumber"),
        ("pageNumber=+1&pageSize=10", "pageNumber"),
        ("pageNumber=%201&pageSize=10", "pageNumber"),
        ("pageNumber=1_0&pageSize=10", "pageNumber"),
        ("pageNumber=%EF%BC%91&pageSize=10", "pageNumber"),
        ("pageNumber=%D9%A1&pageSize=10", "pageNumber"),
        ("pageNumber=1%00&pageSize=10", "pageNumber"),
        ("pageNumber=1%0A&pageSize=10", "pageNumber"),
        ("pageNumber=%FF&pageSize=10", "pageNumber"),
        ("pageNumber=2147483648&pageSize=10", "pageNumber"),
        (f"pageNumber={'9' * 5000}&pageSize=10", "pageNumber"),
        ("pageNumber=1&pageSize=0", "pageSize"),
        ("pageNumber=1&pageSize=-5", "pageSize"),
        ("pageNumber=1&pageSize=1001", "pageSize"),
        ("pageNumber=1&pageSize=18446744073709551617", "pageSize"),
        ("pageNumber=1&pageSize=null", "pageSize"),
        ("pageNumber=1&pageSize=[10]", "pageSize"),
        (f"{PAGE}&status=success", "status"),
        (f"{PAGE}&status=SUCCESS%20", "status"),
        (f"{PAGE}&status=%00", "status"),
        (f"{PAGE}&status=PAUSED", "status"),
    ],
)
async def test_a_parameter_out_of_its_domain_is_named(
    service: QueryService, path: str, query: str, parameter: str
) -> None:
    """Code 250131, and the message says what is allowed."""
    answer = await service.client.get(f"{BASE}/{path}?{query}")
    message = refused(answer, 400, 250131)
    assert message.startswith(f"{parameter} is ")
    assert "allowed: " in message
    assert len(message) < 300


@pytest.mark.parametrize("endpoint", ["list/", "page/", "detail/list/", "detail/page/", "overview/", ""])
@pytest.mark.parametrize(
    "raw",
    [
        "x" * 129,
        "%E6%97%A5" * 129,
        "a%00b",
        "a%0Ab",
        "%1F",
        "%7F",
        "%C2%80",
        "%FF",
        "a%C3%28",
        "%ED%A0%80",
        "%F4%90%80%80",
    ],
)
async def test_an_id_out_of_its_domain_is_refused(service: QueryService, endpoint: str, raw: str) -> None:
    """Too long, with a control character, or no UTF-8."""
    answer = await service.client.get(f"{BASE}/{endpoint}{raw}?{PAGE}")
    message = refused(answer, 400, 250131)
    assert message.startswith(("key ", "recordId "))


@pytest.mark.parametrize(
    "raw", ["x" * 128, "%F0%9F%98%80" * 128, "%25", "%", "%2", "%zz", "%2F", "a%2F..%2Fb", "%EF%BF%BF"]
)
async def test_an_id_in_its_domain_is_taken(service: QueryService, raw: str) -> None:
    """Unknown, but a good question."""
    answer = await service.client.get(f"{BASE}/detail/page/{raw}?{PAGE}")
    assert (answer.status_code, answer.json()["data"]["totalRecords"]) == (200, 0), answer.text


@pytest.mark.parametrize("raw", ["%FF", "a%C3%28", "%", "%zz", "%00", "%ED%A0%80"])
@pytest.mark.parametrize("name", ["packageName", "repoName", "clusterName", "path", "artifactName", "version"])
async def test_a_strange_filter_does_no_harm(service: QueryService, name: str, raw: str) -> None:
    """It finds nothing, or is refused; never an error of the service."""
    answer = await service.client.get(f"{BASE}/detail/page/unknown?{PAGE}&{name}={raw}")
    assert answer.status_code in {200, 400}, answer.text


async def test_an_unknown_record_is_refused(service: QueryService) -> None:
    """Code 250310, and the message names it."""
    assert "no-such" in refused(await service.get("", "no-such"), 400, 250310)


@pytest.mark.parametrize(
    "path",
    [
        "/ui/nowhere",
        "/replication",
        "/favicon.ico",
        BASE,
        f"{BASE}/",
        f"{BASE}/list/",
        f"{BASE}/list/a/b",
        f"{BASE}/page/t/",
        f"{BASE}/detail/list/",
        f"{BASE}/detail/other/r",
        f"{BASE}//list/t",
        f"{BASE.upper()}/list/t",
        "/%FF",
        "/<script>",
    ],
)
async def test_an_unknown_url_is_refused(service: QueryService, path: str) -> None:
    """Code 250130; nothing is redirected."""
    refused(await service.client.get(path), 404, 250130)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["list/t", "page/t", "detail/list/r", "detail/page/r", "overview/r", "r"])
async def test_another_method_is_refused(service: QueryService, method: str, path: str) -> None:
    """Code 250112, and ``Allow`` says which one is not."""
    answer = await service.client.request(method, f"{BASE}/{path}")
    assert method in refused(answer, 405, 250112)
    assert answer.headers["allow"] == "GET"


async def test_head_is_another_method(service: QueryService) -> None:
    """As every other."""
    answer = await service.client.head(f"{BASE}/list/t")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    "path",
    [
        "list/t",
        f"page/t?{PAGE}",
        "detail/list/r",
        f"detail/page/r?{PAGE}",
        f"detail/page/r?{PAGE}&status=FAILED",
        "overview/r",
        "r",
    ],
)
async def test_without_its_store_the_service_says_when_to_come_back(orphan: QueryService, path: str) -> None:
    """503 at once, with ``Retry-After``, and nothing of the store's address."""
    answer = await orphan.client.get(f"{BASE}/{path}")
    assert "127.0.0.1" not in refused(answer, 503, 250102)
    assert int(answer.headers["retry-after"]) > 0


async def test_bad_questions_are_answered_without_the_store(orphan: QueryService) -> None:
    """They are wrong whatever is stored."""
    refused(await orphan.client.get(f"{BASE}/page/t"), 400, 250103)
    refused(await orphan.client.get(f"{BASE}/list/{'x' * 129}"), 400, 250131)


async def test_health_tells_the_store_apart_from_the_process(service: QueryService, orphan: QueryService) -> None:
    """``/livez`` is about the process, ``/readyz`` about what it depends on."""
    for running, ready in ((service, 200), (orphan, 503)):
        assert (await running.client.get("/livez")).status_code == 200
        assert (await running.client.get("/readyz")).status_code == ready
        assert (await running.client.get("/metrics")).status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_probes_may_ask_for_the_head_alone(service: QueryService, orphan: QueryService, path: str) -> None:
    """It is that of the whole answer."""
    for running in (service, orphan):
        whole, head = await running.client.get(path), await running.client.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        without = {"x-replog-as-of"}
        assert {*head.headers.items()} - without == {*whole.headers.items()} - without
        answer = await running.client.post(path)
        assert "allowed: GET, HEAD" in refused(answer, 405, 250112)
        assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/metrics", "/openapi.json", "/asyncapi.json"])
async def test_only_probes_may(service: QueryService, path: str) -> None:
    """Other answers would have to be made whole all the same."""
    answer = await service.client.head(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


async def test_readiness_tells_a_stranger_the_kind_of_trouble_alone(redis_prefix: str) -> None:
    """The log has the rest, once for each change."""
    port = free_port()
    async with serving(f"redis://an-operator:{SECRET}@127.0.0.1:{port}/0", redis_prefix) as running:
        with capture_logs() as lines:
            bodies = {(await running.client.get("/readyz")).text for _ in range(3)}
    assert bodies == {"redis: connection\n"}
    [line] = of_requests(lines)
    assert (line["event"], line["dependency"], line["kind"]) == ("not_ready", "redis", "connection")
    assert str(port) in line["error"]
    assert SECRET not in line["error"]


async def test_the_unexpected_is_answered_without_its_cause(redis_url: str, redis_prefix: str) -> None:
    """500 and code 250102; what happened is for the log."""
    with capture_logs() as lines:
        async with serving(redis_url, redis_prefix, store=broken_store) as service:
            answer = await service.get("", "r")
    assert "secret" not in refused(answer, 500, 250102)
    [line] = of_requests(lines)
    assert (line["event"], line["trace_id"]) == ("request_failed", answer.json()["traceId"])
    assert "secret" in str(line["exc_info"])


async def test_errors_carry_the_request_s_trace(service: QueryService) -> None:
    """As good answers do; without one they make their own, each another."""
    parent = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    for path in (f"{BASE}/page/t", f"{BASE}/list/t", "/nowhere"):
        traced = await service.client.get(path, headers=parent)
        assert traced.json()["traceId"] == TRACE
        fresh = {(await service.client.get(path)).json()["traceId"] for _ in range(2)}
        assert len(fresh - {TRACE}) == 2


async def test_metrics_count_by_route_and_status(service: QueryService) -> None:
    """Templates, never what a client made up."""
    before = await counted(service)
    await service.client.get(f"{BASE}/list/some-key")
    await service.client.get(f"{BASE}/page/some-key")
    await service.client.get("/made/up")
    after = await counted(service)
    new = {key: number - before.get(key, 0) for key, number in after.items()}
    assert new[f"{BASE}/list/{{key}}", "200"] == 1
    assert new[f"{BASE}/page/{{key}}", "400"] == 1
    assert new["unknown", "404"] == 1
    assert not any("some-key" in route or "made" in route for route, _ in after)


async def test_metrics_say_how_fresh_answers_are_and_whether_redis_answers(service: QueryService) -> None:
    lines = (await service.client.get("/metrics")).text.splitlines()
    assert 'replog_dependency_up{dependency="redis"} 1.0' in lines
    # No collector has written a time.
    assert "replog_as_of_timestamp_seconds 0.0" in lines


async def counted(service: QueryService) -> dict[tuple[str, str], float]:
    """Requests so far, by route and status."""
    text = (await service.client.get("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("replog_http_requests_total{")]
    return {_labels(line): float(line.rpartition(" ")[2]) for line in lines}


def _labels(line: str) -> tuple[Any, Any]:
    pairs = dict(pair.split("=", 1) for pair in line[line.index("{") + 1 : line.rindex("}")].split(",", 1))
    return json.loads(pairs["route"]), json.loads(pairs["status"])
