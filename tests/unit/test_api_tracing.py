"""Spans of requests, around an application that answers at once."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.responses import PlainTextResponse

from replog.settings import TracingSettings, load
from replog.tracing.opening import opened_tracer
from replog.tracing.reports import LibraryReport
from replog_api.http.request_context import context_of
from replog_api.observability.tracing import Traced
from tests.support.otlp_receiver import SPAN, TRACE, receiving_traces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.types import Receive, Scope, Send

    from tests.support.otlp_receiver import OtlpReceiver


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with receiving_traces() as running:
        yield running


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the trace id of the request's context; as its path says."""
    scope["route"] = SimpleNamespace(label="/{path}")
    if scope["path"] == "/raise":
        raise ValueError("wrong")
    status = int(scope["path"].removeprefix("/")) if scope["path"] != "/livez" else 200
    await PlainTextResponse(context_of(scope).trace_id, status)(scope, receive, send)


@asynccontextmanager
async def client_of(receiver: OtlpReceiver, ratio: float = 1.0) -> AsyncIterator[httpx.AsyncClient]:
    settings = load(TracingSettings, otlp_endpoint=receiver.endpoint, trace_ratio=ratio)
    with opened_tracer(settings, service="replog-api", report=LibraryReport()) as tracer:
        assert tracer
        traced = Traced(app, tracer, untraced=frozenset({"/livez"}))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(traced), base_url="http://localhost") as client:
            yield client


async def test_a_request_continues_the_trace_that_it_names(receiver: OtlpReceiver) -> None:
    """With its id in the answer, and only if it is recorded."""
    async with client_of(receiver, 0.0) as client:
        for flags in ("00", "01"):
            answer = await client.get("/200", headers={"traceparent": f"00-{TRACE}-{SPAN}-{flags}"})
            assert answer.text == TRACE
    (span,) = receiver.taken
    assert (span.service, span.name, span.kind, span.failed) == ("replog-api", "GET /{path}", 2, False)
    assert (span.trace_id, span.parent_id) == (TRACE, SPAN)
    assert span.attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/200",
        "http.route": "/{path}",
        "http.response.status_code": 200,
    }


@pytest.mark.parametrize("header", [None, "", "nonsense", f"00-{'0' * 32}-{SPAN}-01"])
async def test_any_other_request_begins_a_trace_whose_id_is_in_the_answer(
    receiver: OtlpReceiver, header: str | None
) -> None:
    async with client_of(receiver) as client:
        answer = await client.get("/200", headers={} if header is None else {"traceparent": header})
    (span,) = receiver.taken
    assert (span.trace_id, span.parent_id) == (answer.text, "")


async def test_an_answer_has_an_id_also_where_nothing_is_recorded(receiver: OtlpReceiver) -> None:
    async with client_of(receiver, 0.0) as client:
        ids = {(await client.get("/200")).text for _ in range(3)}
    assert {len(one) for one in ids} == {32}
    assert len(ids) == 3
    assert not receiver.requests


@pytest.mark.parametrize(("path", "failed"), [("/404", False), ("/503", True), ("/raise", True)])
async def test_a_failure_of_the_service_is_an_error(
    receiver: OtlpReceiver,
    path: str,
    failed: bool,  # noqa: FBT001 - the last value of a case
) -> None:
    async with client_of(receiver) as client:
        if path == "/raise":
            with pytest.raises(ValueError, match="wrong"):
                await client.get(path)
        else:
            await client.get(path)
    (span,) = receiver.taken
    assert span.failed == failed


async def test_probes_are_not_recorded(receiver: OtlpReceiver) -> None:
    async with client_of(receiver) as client:
        await client.get("/livez")
    assert not receiver.requests


async def test_names_of_methods_are_few(receiver: OtlpReceiver) -> None:
    async with client_of(receiver) as client:
        await client.request("FROBNICATE", "/200")
    (span,) = receiver.taken
    assert span.name == "_OTHER /{path}"
