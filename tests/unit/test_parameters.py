"""Parameters are read as the API's contract says, or refused with a message that names them."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from replog.store.read.filters import NO_FILTER, DetailFilter
from replog_api.http.errors import INVALID_PARAMETER, MISSING_PARAMETER, Problem, RefusedError
from replog_api.http.parameters import (
    detail_filter,
    page_number_and_size,
    path_id,
    record_page_query,
    status,
    task_keys,
)


def request_for(raw: str, query_string: str = "") -> Request:
    """A request with ``raw`` in its path, as it was sent."""
    return Request({"type": "http", "path_params": {"key": raw}, "query_string": query_string.encode()})


def refusal_of(query: dict[str, str]) -> RefusedError:
    """Why ``query`` names no page."""
    with pytest.raises(RefusedError) as refused:
        page_number_and_size(query)
    return refused.value


@pytest.mark.parametrize(
    ("number", "size", "read"),
    [
        ("1", "20", (1, 20, 0)),
        ("0", "20", (1, 20, 0)),
        ("-0", "20", (1, 20, 0)),
        ("3", "7", (3, 7, 14)),
        ("007", "1", (7, 1, 6)),
        ("2147483647", "1000", (2147483647, 1000, 2147483646000)),
    ],
)
def test_pages_count_from_one(number: str, size: str, read: tuple[int, int, int]) -> None:
    """Page 0 is page 1."""
    found = record_page_query(request_for("t", f"pageNumber={number}&pageSize={size}"))
    assert (found.page_number, found.page_size, found.offset) == read


@pytest.mark.parametrize("query", [{}, {"pageNumber": ""}, {"pageNumber": "", "pageSize": "1"}])
def test_a_missing_number_is_called_missing(query: dict[str, str]) -> None:
    """An empty one is no number either."""
    refused = refusal_of(query)
    assert (refused.problem, str(refused)) == (MISSING_PARAMETER, "pageNumber is missing")


@pytest.mark.parametrize(
    "number", ["-1", "1.0", "1e1", " 1", "1 ", "+1", "x", "0x1", "1_0", "\u0661", "\uff11", "1\n", "2147483648"]
)
def test_a_wrong_number_is_shown_with_what_is_allowed(number: str) -> None:
    """In one line."""
    refused = refusal_of({"pageNumber": number, "pageSize": "1"})
    assert refused.problem == INVALID_PARAMETER
    assert str(refused) == f"pageNumber is {number!r}; allowed: an integer from 0 to 2147483647"


@pytest.mark.parametrize("size", ["0", "-1", "1001", "9" * 18, "9" * 19, "9" * 100_000])
def test_a_size_out_of_range_is_refused(size: str) -> None:
    """However many digits it has, and without showing all of them."""
    refused = refusal_of({"pageNumber": "1", "pageSize": size})
    assert str(refused).startswith("pageSize is ")
    assert str(refused).endswith("allowed: an integer from 1 to 1000")
    assert len(str(refused)) < 200


@pytest.mark.parametrize("text", ["", "RUNNING", "SUCCESS", "FAILED"])
def test_a_status_is_one_of_three_or_none(text: str) -> None:
    """Empty is absent."""
    assert status({"status": text}) == text


def test_no_status_is_no_condition() -> None:
    """The parameter is optional."""
    assert status({}) == ""


@pytest.mark.parametrize("text", ["running", "SUCCESS ", "R", "null", "RUNNING,FAILED", "\x00"])
def test_an_unknown_status_is_refused(text: str) -> None:
    """With those that are known."""
    with pytest.raises(RefusedError, match="allowed: RUNNING, SUCCESS, FAILED"):
        status({"status": text})


def test_filters_are_read_by_the_api_s_names() -> None:
    """And others ignored."""
    query = {
        "status": "FAILED",
        "clusterName": "dev",
        "repoName": "npm-*",
        "packageName": "a.(b",
        "path": "/p",
        "artifactName": "x",
        "version": "1.0",
        "remoteCluster": "dev2",
        "localRepoName": "npm-local",
        "sort": "id",
    }
    assert detail_filter(query) == DetailFilter("FAILED", "dev", "npm-*", "a.(b", "/p", "x", "1.0", "dev2", "npm-local")


def test_empty_filters_are_none() -> None:
    """Absent and empty are the same."""
    prefixes = ("clusterName", "repoName", "packageName", "path", "artifactName")
    names = (*prefixes, "status", "version", "remoteCluster", "localRepoName")
    assert detail_filter({}) == detail_filter(dict.fromkeys(names, "")) == NO_FILTER


@pytest.mark.parametrize("key", ["npm://", "npm://hello", "a://b://c", "://x", "zzz://hello"])
def test_a_package_with_a_scheme_is_searched_by_its_key(key: str) -> None:
    """As it is, scheme and all."""
    assert detail_filter({"packageName": key}) == DetailFilter(package_key=key)


@pytest.mark.parametrize("name", ["npm:/x", "x:", "//x", "hello"])
def test_a_package_without_a_scheme_is_searched_by_its_name(name: str) -> None:
    """Part of a separator is none."""
    assert detail_filter({"packageName": name}) == DetailFilter(package_name=name)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("plain", "plain"),
        ("a%2Fb", "a/b"),
        ("a%252Fb", "a%2Fb"),
        ("a+b", "a+b"),
        ("%E6%97%A5", "日"),
        ("\xe6\x97\xa5", "日"),
        ("%F0%9F%98%80", "😀"),
        ("100%", "100%"),
        ("%zz", "%zz"),
        ("x" * 128, "x" * 128),
        ("%F0%9F%98%80" * 128, "😀" * 128),
    ],
)
def test_an_id_is_decoded_once(raw: str, text: str) -> None:
    """Whether the client encoded its bytes or not."""
    assert path_id(request_for(raw), "key") == text


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("x" * 129, "key has 129 characters; at most 128 are allowed"),
        ("a%00", "key contains a control character"),
        ("%0A", "key contains a control character"),
        ("%7F", "key contains a control character"),
        ("%C2%85", "key contains a control character"),
        ("%FF", "key is not UTF-8"),
        ("%E6%97", "key is not UTF-8"),
        ("%ED%A0%80", "key is not UTF-8"),
        ("%C0%AF", "key is not UTF-8"),
    ],
)
def test_an_id_out_of_its_domain_is_refused(raw: str, problem: str) -> None:
    """The event contract has no such id."""
    with pytest.raises(RefusedError) as refused:
        path_id(request_for(raw), "key")
    assert (str(refused.value), refused.value.problem) == (problem, INVALID_PARAMETER)


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("key=a", ["a"]),
        ("key=b&key=a&key=b", ["b", "a", "b"]),
        ("x=1&&key=a&Key=b&keys=c", ["a"]),
        ("%6bey=a%2Fb&key=c+d&key=e%2Bf", ["a/b", "c d", "e+f"]),
        ("key=%E6%97%A5&key=\xe6\x97\xa5&x=%FF", ["日", "日"]),
        ("key=a=b&key=a;b", ["a=b", "a;b"]),
        ("&".join(["key=" + "x" * 128] * 200), ["x" * 128] * 200),
    ],
)
def test_keys_are_read_as_often_as_they_are_given(query: str, keys: list[str]) -> None:
    """In their order, decoded once."""
    assert task_keys(query.encode("latin-1")) == keys


@pytest.mark.parametrize(
    ("query", "problem", "message"),
    [
        ("", MISSING_PARAMETER, "key is missing"),
        ("key", MISSING_PARAMETER, "key is missing"),
        ("key=a&key=", MISSING_PARAMETER, "key is missing"),
        ("&".join(["key=a"] * 201), INVALID_PARAMETER, "key is given 201 times; at most 200 are allowed"),
        ("key=a&key=%FF", INVALID_PARAMETER, "key is not UTF-8"),
        ("key=a%0A", INVALID_PARAMETER, "key contains a control character"),
        ("key=" + "x" * 129, INVALID_PARAMETER, "key has 129 characters; at most 128 are allowed"),
    ],
)
def test_keys_that_cannot_be_are_refused(query: str, problem: Problem, message: str) -> None:
    """One is enough."""
    with pytest.raises(RefusedError) as refused:
        task_keys(query.encode("latin-1"))
    assert (refused.value.problem, str(refused.value)) == (problem, message)
