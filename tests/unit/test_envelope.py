"""The envelope: four keys in order, and the trace id of the request."""

from __future__ import annotations

import json
import re

import pytest
from starlette.requests import Request

from replog_api.http.envelope import answer, refusal
from replog_api.http.languages import Text
from replog_api.http.request_context import context_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def request(traceparent: str | None = None, language: str = "") -> Request:
    """A request, with these headers if any."""
    headers = [] if traceparent is None else [(b"traceparent", traceparent.encode())]
    return Request({"type": "http", "headers": [*headers, (b"accept-language", language.encode())]})


def trace_id(made: Request) -> str:
    """The trace id of a request."""
    return context_of(made.scope).trace_id


def test_a_good_answer_carries_its_data_as_it_is() -> None:
    """All four keys, nulls included."""
    made = answer(request(f"00-{TRACE}-{SPAN}-01"), b'{"a":[]}')
    assert made.body == b'{"code":0,"message":null,"data":{"a":[]},"traceId":"%b"}' % TRACE.encode()
    assert (made.status_code, made.headers["content-type"]) == (200, "application/json")


def test_a_refusal_has_no_data() -> None:
    """Its message may hold anything."""
    message = 'the "name"\n is 日\\'
    made = refusal(request(f"00-{TRACE}-{SPAN}-00"), 400, 250131, Text(message, "无"), {"Retry-After": "2"})
    body = json.loads(bytes(made.body))
    assert list(body.items()) == [("code", 250131), ("message", message), ("data", None), ("traceId", TRACE)]
    assert (made.status_code, made.headers["retry-after"]) == (400, "2")


def test_a_refusal_is_in_the_language_that_the_client_prefers() -> None:
    """And says in which it is."""
    made = refusal(request(language="zh-CN"), 400, 250131, Text("one", "一"))
    assert (json.loads(bytes(made.body))["message"], made.headers["content-language"]) == ("一", "zh")


@pytest.mark.parametrize(
    "traceparent", [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", f"cc-{TRACE}-{SPAN}-01-what-may-come"]
)
def test_a_trace_goes_on(traceparent: str) -> None:
    """Also one of a later version of the standard."""
    assert trace_id(request(traceparent)) == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        TRACE,
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01 x",
    ],
)
def test_a_trace_begins_where_none_is_given(traceparent: str | None) -> None:
    """Or none that the standard allows."""
    fresh = trace_id(request(traceparent))
    assert re.fullmatch(r"[0-9a-f]{32}", fresh)
    assert fresh not in {TRACE, "0" * 32}
    assert trace_id(request(traceparent)) != fresh


def test_a_request_has_one_trace() -> None:
    """However often it is asked for."""
    made = request()
    assert trace_id(made) == trace_id(made)
