"""Parameters are read as the API's contract says, or refused with a message that names them."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from replog.store.read.filters import NO_FILTER, DetailFilter
from replog_api.contracts.operations import OPERATIONS
from replog_api.http.errors import INVALID_PARAMETER, MISSING_PARAMETER, Problem, RefusedError
from replog_api.http.parameters import Parser
from replog_api.http.query_values import (
    DetailCountsQuery,
    DetailExportQuery,
    DetailPageQuery,
    LatestQuery,
    QueryValue,
    RecordListQuery,
    RecordPageQuery,
    TaskPageQuery,
    TaskRunsQuery,
)

Q = TypeVar("Q", bound=QueryValue)

PAGE = {"pageNumber": "1", "pageSize": "1"}
MODELS = [operation.query for operation in OPERATIONS if operation.query.model_fields]


def parsed(model: type[Q], query: dict[str, str]) -> Q:
    """The value of a query about the id ``x``."""
    in_path = {field.alias or "": "x" for field in model.model_fields.values()}.keys() & {"key", "recordId"}
    return Parser(model).parse(dict.fromkeys(in_path - model.in_query_string(), "x"), urlencode(query).encode())


def refusal_of(query: dict[str, str]) -> RefusedError:
    """Why ``query`` names no page."""
    with pytest.raises(RefusedError) as refused:
        parsed(RecordPageQuery, query)
    return refused.value


def path_id(raw: str) -> str:
    """The id that is ``raw`` in the path, as it was sent."""
    return Parser(RecordListQuery).parse({"key": raw}, b"").task_key


def task_keys(query_string: bytes) -> list[str]:
    """All of ``key`` in a query string."""
    return Parser(LatestQuery).parse({}, query_string).task_keys


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
    found = parsed(RecordPageQuery, {"pageNumber": number, "pageSize": size})
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
    assert parsed(RecordPageQuery, {**PAGE, "status": text}).status == text


def test_no_status_is_no_condition() -> None:
    """The parameter is optional."""
    assert parsed(RecordPageQuery, PAGE).status == ""


@pytest.mark.parametrize("text", ["running", "SUCCESS ", "R", "null", "RUNNING,FAILED", "\x00"])
def test_an_unknown_status_is_refused(text: str) -> None:
    """With those that are known."""
    with pytest.raises(RefusedError, match="allowed: RUNNING, SUCCESS, FAILED"):
        parsed(RecordPageQuery, {**PAGE, "status": text})


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
    assert parsed(DetailPageQuery, PAGE | query).filter == DetailFilter(
        "FAILED", "dev", "npm-*", "a.(b", "/p", "x", "1.0", "dev2", "npm-local"
    )


def test_empty_filters_are_none() -> None:
    """Absent and empty are the same."""
    prefixes = ("clusterName", "repoName", "packageName", "path", "artifactName")
    names = (*prefixes, "status", "version", "remoteCluster", "localRepoName")
    assert parsed(DetailPageQuery, PAGE).filter == NO_FILTER
    assert parsed(DetailPageQuery, PAGE | dict.fromkeys(names, "")).filter == NO_FILTER


@pytest.mark.parametrize("key", ["npm://", "npm://hello", "a://b://c", "://x", "zzz://hello"])
def test_a_package_with_a_scheme_is_searched_by_its_key(key: str) -> None:
    """As it is, scheme and all."""
    assert parsed(DetailPageQuery, {**PAGE, "packageName": key}).filter == DetailFilter(package_key=key)


@pytest.mark.parametrize("name", ["npm:/x", "x:", "//x", "hello"])
def test_a_package_without_a_scheme_is_searched_by_its_name(name: str) -> None:
    """Part of a separator is none."""
    assert parsed(DetailPageQuery, {**PAGE, "packageName": name}).filter == DetailFilter(package_name=name)


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
    assert path_id(raw) == text


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
        path_id(raw)
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
        (
            "&".join(["key=a%0A", *["key=a"] * 200]),
            INVALID_PARAMETER,
            "key is given 201 times; at most 200 are allowed",
        ),
        ("&".join(["key=a"] * 201 + ["key="]), MISSING_PARAMETER, "key is missing"),
        ("key=a%0A", INVALID_PARAMETER, "key contains a control character"),
        ("key=" + "x" * 129, INVALID_PARAMETER, "key has 129 characters; at most 128 are allowed"),
    ],
)
def test_keys_that_cannot_be_are_refused(query: str, problem: Problem, message: str) -> None:
    """One is enough."""
    with pytest.raises(RefusedError) as refused:
        task_keys(query.encode("latin-1"))
    assert (refused.value.problem, str(refused.value)) == (problem, message)


@pytest.mark.parametrize(
    ("query_string", "prefix"),
    [
        ("prefix=a&prefix=b", "b"),
        ("prefix=a&prefix=", ""),
        ("prefix=a+b%2Bc", "a b+c"),
        ("pre%66ix=a", "a"),
        ("Prefix=a", ""),
        ("prefix", ""),
        ("prefix=a=b;c", "a=b;c"),
        ("prefix=%E6%97%A5", "日"),
        ("prefix=%FF", "\ufffd"),
        ("prefix=\xe9", "\xe9"),
        ("prefix=%", "%"),
        ("&&prefix=a&&", "a"),
    ],
)
def test_of_a_parameter_that_comes_twice_the_last_counts(query_string: str, prefix: str) -> None:
    """Also where that one is empty; it is decoded once."""
    whole = f"pageNumber=1&pageSize=1&{query_string}".encode("latin-1")
    assert Parser(TaskPageQuery).parse({}, whole).prefix == prefix


def test_the_first_wrong_parameter_is_told() -> None:
    """The id, then the page, in the order of the document."""
    with pytest.raises(RefusedError, match="recordId"):
        Parser(DetailPageQuery).parse({"recordId": "%00"}, b"pageNumber=x")
    assert str(refusal_of({"pageNumber": "x", "wait": "x"})).startswith("pageNumber")
    assert str(refusal_of({**PAGE, "status": "x", "wait": "x"})).startswith("status")


def test_a_parameter_of_the_query_string_is_no_id() -> None:
    """Whatever its name."""
    assert Parser(RecordListQuery).parse({"key": "a"}, b"key=b&task_key=c").task_key == "a"


@pytest.mark.parametrize("model", MODELS)
def test_a_query_value_does_not_change(model: type[QueryValue]) -> None:
    value = model.model_construct()
    for name in model.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(value, name, "x")


INTEGERS = [
    (model, field.alias)
    for model in MODELS
    for field in model.model_fields.values()
    if field.annotation is int and field.alias
]


@pytest.mark.parametrize(("model", "name"), INTEGERS)
@pytest.mark.parametrize("text", ["+1", "1_0", " 1", "1 ", "1.0", "\u0661", "x"])
def test_an_integer_has_digits_alone(model: type[QueryValue], name: str, text: str) -> None:
    """Python's own reading, and pydantic's, know other ways to write one."""
    with pytest.raises(RefusedError, match=f"{name} is .*; allowed: an integer from"):
        parsed(model, {**PAGE, "key": "x", name: text})


@pytest.mark.parametrize("query", [{}, {"by": "", "remoteCluster": ""}])
def test_details_are_counted_by_cluster_where_nothing_is_said(query: dict[str, str]) -> None:
    """Absent and empty are the same."""
    found = parsed(DetailCountsQuery, query)
    assert (found.by, found.remote_cluster) == ("cluster", "")


@pytest.mark.parametrize("text", ["Cluster", "task", "cluster,pair", "\x00"])
def test_an_unknown_grouping_is_refused(text: str) -> None:
    """With those that are known."""
    with pytest.raises(RefusedError, match="allowed: cluster, repository, pair"):
        parsed(DetailCountsQuery, {"by": text})


def test_an_export_has_a_format_and_filters() -> None:
    """CSV where nothing is said."""
    assert parsed(DetailExportQuery, {}).format == "csv"
    found = parsed(DetailExportQuery, {"format": "ndjson", "status": "FAILED"})
    assert (found.format, found.filter) == ("ndjson", DetailFilter("FAILED"))


@pytest.mark.parametrize(("keys", "last"), [(1, 2000), (2, 1000), (100, 20), (2000, 1)])
def test_runs_are_limited_over_all_tasks(keys: int, last: int) -> None:
    """The number of keys times the runs of each."""
    query_string = "key=x&" * keys
    found = Parser(TaskRunsQuery).parse({}, f"{query_string}last={last}".encode())
    assert (len(found.task_keys), found.last) == (keys, last)
    with pytest.raises(RefusedError, match=f"allowed.*: an integer from 1 to {last}") as refused:
        Parser(TaskRunsQuery).parse({}, f"{query_string}last={last + 1}".encode())
    assert refused.value.problem == INVALID_PARAMETER


#: Texts near what each kind of parameter allows.
TEXTS = st.one_of(
    st.sampled_from(["", "0", "-1", "007", "1000", "1001", "9" * 30, "RUNNING", "running", "npm://x"]),
    st.sampled_from(["x" * 128, "x" * 129, "a\n", "%FF", "%00"]),
    st.text(max_size=5),
)


@pytest.mark.parametrize("model", MODELS)
@given(st.data())
def test_a_request_has_a_value_or_is_refused(model: type[QueryValue], data: st.DataObject) -> None:
    """Whatever is wrong, the message names the parameter: no type of error is without a line of the error table."""
    names = {field.alias or "" for field in model.model_fields.values()}
    sent = {
        **(PAGE if data.draw(st.booleans()) else {}),
        **data.draw(st.dictionaries(st.sampled_from([*names]), TEXTS)),
    }
    raw = data.draw(TEXTS.filter(bool)).encode().decode("latin-1")
    in_path = dict.fromkeys(names - model.in_query_string(), raw)
    refused = refusal(model, in_path, urlencode(sent).encode())
    if refused:
        name = str(refused).partition(" ")[0]
        assert name in names
        assert (refused.problem == MISSING_PARAMETER) == (not (sent | in_path).get(name))


def refusal(model: type[QueryValue], in_path: dict[str, str], query_string: bytes) -> RefusedError | None:
    """Why a request is refused, if it is."""
    try:
        Parser(model).parse(in_path, query_string)
    except RefusedError as error:
        return error
    return None
