"""Pages link to their neighbours with everything that was asked."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

import pytest

from replog_api.admission.limits import MAX_LINK_BYTES
from replog_api.contracts.openapi.operation import Query
from replog_api.contracts.operations import OPERATIONS
from replog_api.http.query_values import TaskPageQuery
from replog_api.queries.links import links

QUERIES = [operation for operation in OPERATIONS if isinstance(operation, Query)]
LINK = re.compile(r'<([^>]*)>; rel="([a-z]+)"')


def targets(header: str) -> dict[str, str]:
    """URL by relation."""
    found = LINK.findall(header)
    assert ", ".join(f'<{url}>; rel="{relation}"' for url, relation in found) == header
    return {relation: url for url, relation in found}


def asked(path: str, query_string: bytes, number: int, size: int, total: int) -> dict[str, str]:
    """URL by relation of a page that has links."""
    header = links(path, query_string, TaskPageQuery("", number, size), total)
    assert header
    return targets(header)


def numbers(number: int, size: int, total: int) -> dict[str, int]:
    """Page by relation, in the order of the header."""
    query = f"pageNumber={number}&pageSize={size}".encode()
    found = asked("/page/t", query, number, size, total)
    return {relation: int(dict(parse_qsl(urlsplit(url).query))["pageNumber"]) for relation, url in found.items()}


@pytest.mark.parametrize(
    ("number", "size", "total", "expected"),
    [
        (1, 10, 0, {"first": 1, "last": 1}),
        (1, 10, 10, {"first": 1, "last": 1}),
        (1, 10, 11, {"first": 1, "next": 2, "last": 2}),
        (2, 10, 11, {"first": 1, "prev": 1, "last": 2}),
        (3, 10, 95, {"first": 1, "prev": 2, "next": 4, "last": 10}),
        (50, 10, 95, {"first": 1, "prev": 10, "last": 10}),
        (50, 10, 0, {"first": 1, "prev": 1, "last": 1}),
    ],
)
def test_neighbours_exist(number: int, size: int, total: int, expected: dict[str, int]) -> None:
    """Past the end, the previous page is the last that there is."""
    found = numbers(number, size, total)
    assert list(found.items()) == list(expected.items())


def test_what_was_asked_is_kept() -> None:
    """As it was sent; of the page number one is left, and how long to wait is of one asking."""
    query = b"pageSize=5&status=RUNNING&packageName=npm%3A%2F%2Fa+b&page%4eumber=9&wait=30&versio%6e=%E6%97%A5&"
    found = asked("/page/a%2Fb%20c", query, 2, 5, 100)
    kept = "pageSize=5&status=RUNNING&packageName=npm%3A%2F%2Fa+b&versio%6e=%E6%97%A5"
    assert found["next"] == f"/page/a%2Fb%20c?{kept}&pageNumber=3"


@pytest.mark.parametrize("raw", ['a>; rel="x', 'a"b', "a<b", "a b", "日".encode().decode("latin-1"), "a\\b", "{a}"])
def test_what_a_link_cannot_hold_is_encoded(raw: str) -> None:
    """Whatever a client managed to send."""
    found = asked(f"/page/{raw}", f"version={raw}&pageSize=1".encode("latin-1"), 1, 1, 2)
    assert set(found) == {"first", "next", "last"}
    assert found["next"].isascii()
    assert not set(found["next"]) & set('<>" \\{}')


def test_what_no_query_has_is_left_out() -> None:
    """A header repeats it up to four times."""
    found = asked("/page/t", b"pageSize=5&_=1620821948813&" + b"x" * 30_000 + b"&status=FAILED", 1, 5, 6)
    assert found["next"] == "/page/t?pageSize=5&status=FAILED&pageNumber=2"


@pytest.mark.parametrize("raw", ["x", "é", '"'])
def test_links_have_a_limit(raw: str) -> None:
    """Whatever has to be encoded; proxies in between take no head of any length."""
    query = TaskPageQuery("", 2, 5)
    sizes = [len(links("/page/t", f"version={raw * n}".encode(), query, 100) or "") for n in range(1500)]
    assert 2500 < max(sizes) <= MAX_LINK_BYTES
    assert sizes[-1] == 0


def test_every_parameter_of_every_query_is_kept() -> None:
    """But the number of the page, and how long one asking waits."""
    names = {each.name for query in QUERIES for each in query.parameters if each.place == "query"}
    query = "&".join(f"{name}=1" for name in sorted(names))
    found = asked("/page/t", query.encode(), 1, 5, 6)
    assert {*dict(parse_qsl(urlsplit(found["next"]).query))} == names - {"wait"}
