"""Every error that the OpenAPI document names is given, by every query, as the document says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from structlog.testing import capture_logs

from replog_api.admission.limits import MAX_HEADER_BYTES, MAX_URL_BYTES
from replog_api.contracts.openapi.operation import Query, Service, Stream
from replog_api.contracts.operations import OPERATIONS
from tests.support.api.broken_store import broken_store
from tests.support.api.documented import CONFORMANCE, DOCUMENT, is_documented
from tests.support.api.tokens import ALL, MINE, STRANGE, TOKENS, bearer
from tests.support.query_service import serving
from tests.support.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from tests.support.query_service import QueryService
QUERIES = [operation for operation in OPERATIONS if not isinstance(operation, Service)]

AnyQuery = Query[Any] | Stream[Any]

each_query = pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.operation_id)


@pytest.fixture
async def service(redis_url: str, redis_prefix: str) -> AsyncIterator[QueryService]:
    """A service over an empty store that wants a token."""
    async with serving(redis_url, redis_prefix, api_tokens=TOKENS) as running:
        yield running


async def ask(
    service: QueryService, query: AnyQuery, *, entity: str = "x", secret: str = ALL, **more: str
) -> httpx.Response:
    """What a query answers; of ``more``, those with an underscore are headers."""
    path = query.path.replace("{key}", entity).replace("{recordId}", entity)
    asked = {"pageNumber": "1", "pageSize": "5", "key": entity, "prefix": entity} | more
    return await service.client.get(path, params=asked, headers=bearer(secret))


@each_query
async def test_refusals_at_the_gate(service: QueryService, query: AnyQuery) -> None:
    """Whatever is asked."""
    is_documented(await ask(service, query, secret=STRANGE), 401, query)
    is_documented(await ask(service, query, secret=MINE), 403, query)
    if "{" in query.path:
        is_documented(await ask(service, query, entity=""), 404, query)
    is_documented(await ask(service, query, x="x" * MAX_URL_BYTES), 414, query)
    service.client.headers["x"] = "x" * MAX_HEADER_BYTES
    is_documented(await ask(service, query), 431, query)


@each_query
async def test_a_wrong_question(service: QueryService, query: AnyQuery) -> None:
    """In both languages."""
    for language in ("en", "zh"):
        service.client.headers["accept-language"] = language
        answer = await ask(service, query, entity="x" * 129, pageSize="0")
        is_documented(answer, 400, query)
        assert answer.headers["content-language"] == language


@each_query
async def test_too_many_questions(redis_url: str, redis_prefix: str, query: AnyQuery) -> None:
    """The first is answered."""
    async with serving(redis_url, redis_prefix, api_requests_per_s=0.01) as strict:
        await ask(strict, query)
        is_documented(await ask(strict, query), 429, query)


@each_query
async def test_a_name_of_somebody_else(redis_url: str, redis_prefix: str, query: AnyQuery) -> None:
    """Where nobody is authenticated."""
    async with serving(redis_url, redis_prefix) as open_to_all:
        open_to_all.client.headers["host"] = "evil.example:8080"
        is_documented(await ask(open_to_all, query), 421, query)


@each_query
async def test_trouble_inside(query: AnyQuery) -> None:
    """The unexpected, and a store that is not there."""
    away = f"redis://127.0.0.1:{free_port()}/0"
    with capture_logs():
        async with serving(away, "replog") as orphan:
            is_documented(await ask(orphan, query), 503, query)
        async with serving(away, "replog", store=broken_store) as broken:
            is_documented(await ask(broken, query), 500, query)


@each_query
async def test_another_method(service: QueryService, query: AnyQuery) -> None:
    """Of which the document speaks once for all, because it is no answer to a query."""
    answer = await service.client.post(query.path, headers=bearer(ALL))
    assert answer.status_code == 405
    as_if = {"/": {"get": {"responses": {"405": DOCUMENT["components"]["responses"]["WrongMethod"]}}}}
    case = schemathesis.openapi.from_dict({**DOCUMENT, "paths": as_if})["/"]["GET"].Case()
    case.validate_response(answer, checks=CONFORMANCE)
