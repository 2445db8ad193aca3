"""The client of the query service: errors as sentences, the parser of streams, waits between attempts."""

from __future__ import annotations

import json

import httpx
import pytest
import typer
from pydantic import SecretStr

from replog.errors import SettingsError
from replog.settings import ClientSettings, load
from replog_cli.client.api import record_path
from replog_cli.client.errors import ApiUnavailable, UnknownRecord, error_of_answer, error_of_transport
from replog_cli.client.record_stream import Backoff
from replog_cli.client.sse import Message, lines, messages
from replog_cli.options import Status, detail_filters

WITHOUT_TOKEN = ClientSettings(api_url="http://replog.example", api_token=None)
WITH_TOKEN = ClientSettings(api_url="http://replog.example", api_token=SecretStr("secret-word"))
SERVICE = "the query service at http://replog.example"


def answer(status: int, code: int, message: str, **headers: str) -> httpx.Response:
    """An error as the service sends it."""
    body = json.dumps({"code": code, "message": message, "data": None, "traceId": "0" * 32})
    request = httpx.Request("GET", "http://replog.example/x")
    return httpx.Response(status, text=body, headers=headers, request=request)


@pytest.mark.parametrize(
    ("settings", "response", "text"),
    [
        (WITHOUT_TOKEN, answer(401, 250114, "no"), f"{SERVICE} requires a token; set REPLOG_API_TOKEN to one"),
        (
            WITH_TOKEN,
            answer(401, 250114, "no"),
            f"{SERVICE} does not accept the token in REPLOG_API_TOKEN; set REPLOG_API_TOKEN to one that it accepts",
        ),
        (
            WITH_TOKEN,
            answer(403, 250113, "not yours"),
            f"{SERVICE} does not let this token read that (not yours); set REPLOG_API_TOKEN to one that may",
        ),
        (
            WITHOUT_TOKEN,
            answer(429, 250124, "slow down", **{"Retry-After": "7"}),
            f"{SERVICE} got too many requests; try again in 7 s",
        ),
        (
            WITHOUT_TOKEN,
            answer(503, 250102, "the store does not answer", **{"Retry-After": "2"}),
            f"{SERVICE} cannot answer now (the store does not answer); try again in 2 s",
        ),
        (WITHOUT_TOKEN, answer(502, 1, "bad"), f"{SERVICE} cannot answer now (bad); try again later"),
        (WITHOUT_TOKEN, answer(400, 250131, "key is long"), f"{SERVICE} refused the request: key is long"),
    ],
)
def test_an_error_is_one_sentence(settings: ClientSettings, response: httpx.Response, text: str) -> None:
    """It names what to set, or when to try again; never the token."""
    said = str(error_of_answer(settings, response))
    assert said == text
    assert "secret-word" not in said


def test_errors_are_told_apart_by_type() -> None:
    """What may succeed later, with its time; what is not known."""
    later = error_of_answer(WITHOUT_TOKEN, answer(429, 250124, "", **{"Retry-After": "7"}))
    assert isinstance(later, ApiUnavailable)
    assert later.retry_after_s == 7.0
    assert isinstance(error_of_answer(WITHOUT_TOKEN, answer(400, 250310, "unknown")), UnknownRecord)


def test_another_server_is_recognised() -> None:
    """By an answer that is no envelope."""
    request = httpx.Request("GET", "http://replog.example/x")
    said = str(error_of_answer(WITHOUT_TOKEN, httpx.Response(404, text="<html>", request=request)))
    assert said == (
        "http://replog.example/x answered 404 and is no query service; set REPLOG_API_URL to the address of one"
    )


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (
            httpx.ConnectError("[Errno 111] Connection refused"),
            "cannot be reached (Connection refused); set REPLOG_API_URL",
        ),
        (httpx.ConnectTimeout(""), "cannot be reached (ConnectTimeout); set REPLOG_API_URL"),
        (httpx.ReadTimeout(""), "did not answer in time"),
        (httpx.RemoteProtocolError("peer closed"), "broke (peer closed)"),
    ],
)
def test_no_answer_is_one_sentence(error: httpx.HTTPError, part: str) -> None:
    """It says what happened, and what to set."""
    assert part in str(error_of_transport(WITHOUT_TOKEN, error))


@pytest.mark.parametrize("url", ["replog.example", "ftp://replog.example", "http://", "http://h:port", "http://h/?x=1"])
def test_a_wrong_address_is_refused(url: str) -> None:
    """By its name and value."""
    with pytest.raises(SettingsError, match="REPLOG_API_URL"):
        load(ClientSettings, api_url=url)


def test_a_wrong_token_is_refused_and_masked() -> None:
    """A line feed would be another header."""
    with pytest.raises(SettingsError, match="REPLOG_API_TOKEN") as refused:
        load(ClientSettings, api_token="abc\ndef")
    assert "abc" not in str(refused.value)


def test_a_stream_is_parsed_however_it_is_divided() -> None:
    """Events, heart-beats and the time to wait; line breaks of Unicode are no ends of lines."""
    body = 'retry: 2000\n\nid: 7\nevent: change\ndata: {"a":"\u2028\x85é"}\n\n: alive\n\nid: 8\nevent: end\n'.encode()
    for size in (1, 2, 3, 1000):
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        assert list(messages(lines(pieces))) == [
            Message(retry_ms=2000),
            Message(event="change", id="7", data='{"a":"\u2028\x85é"}'),
            Message(),
        ]


def test_waits_grow_to_a_limit() -> None:
    """And are shortened at random, so that clients do not come back together."""
    backoff = Backoff(first_s=1.0, longest_s=30.0, least_part=0.5)
    for attempt, longest in enumerate([1, 2, 4, 8, 16, 30, 30]):
        waits = [backoff.wait_s(attempt) for _ in range(50)]
        assert longest / 2 <= min(waits) <= max(waits) <= longest
        assert len(set(waits)) > 1
    assert backoff.wait_s(10_000) <= 30.0


def test_filters_have_the_names_of_the_api() -> None:
    """Cluster and repository are the exact ones; what was not given is left out."""
    given = {"cluster": "dev", "repository": "npm-local", "package": "npm://", "path": "/p", "artifact": "a"}
    assert detail_filters(status=None, failed=True, version="1", **given) == {
        "status": "FAILED",
        "remoteCluster": "dev",
        "localRepoName": "npm-local",
        "packageName": "npm://",
        "path": "/p",
        "artifactName": "a",
        "version": "1",
    }
    nothing = dict.fromkeys(given, "")
    assert detail_filters(status=None, failed=False, version="", **nothing) == {}
    with pytest.raises(typer.BadParameter, match="--failed and --status SUCCESS"):
        detail_filters(status=Status.SUCCESS, failed=True, version="", **nothing)


@pytest.mark.parametrize(
    ("entity_id", "sent"),
    [
        ("with/slash", "http://replog.example/ops/replication/api/task/record/page/with%2Fslash?pageNumber=1"),
        ("..", "http://replog.example/ops/replication/api/task/record/page/?id=..&pageNumber=1"),
        (".", "http://replog.example/ops/replication/api/task/record/page/?id=.&pageNumber=1"),
    ],
)
def test_every_id_reaches_the_service(entity_id: str, sent: str) -> None:
    """Also one that HTTP libraries take for a way through folders."""
    url = httpx.URL(record_path("page", entity_id)).copy_merge_params({"pageNumber": 1})
    with httpx.Client(base_url="http://replog.example/ops") as client:
        assert str(client.build_request("GET", url).url) == sent
