"""Ids that are sent beside the path, because clients take them for a way through folders."""

from __future__ import annotations

import pytest

from replog_api.http.paths import RECORDS, TASKS, routed_path, sent_path


@pytest.mark.parametrize(
    ("path", "query_string", "routed"),
    [
        (f"{RECORDS}/page/", b"pageNumber=1&id=..&pageSize=5", f"{RECORDS}/page/.."),
        (f"{RECORDS}/detail/page/", b"id=%2E", f"{RECORDS}/detail/page/."),
        (f"{RECORDS}/", b"id=..", f"{RECORDS}/.."),
        (f"{RECORDS}/stream/", b"id=a%2Fb+c%25&x", f"{RECORDS}/stream/a%2Fb%20c%25"),
        (f"{RECORDS}/stream/", b"id=%E6%97%A5", f"{RECORDS}/stream/%E6%97%A5"),
        (f"{RECORDS}/page/", b"id=a&id=b", f"{RECORDS}/page/b"),
        # Without an id there is nothing to add, and a path that has one keeps it.
        (f"{RECORDS}/page/", b"id=&pageNumber=1", f"{RECORDS}/page/"),
        (f"{RECORDS}/page/", b"", f"{RECORDS}/page/"),
        (f"{RECORDS}/page/a", b"id=..", f"{RECORDS}/page/a"),
        # Other paths have no id.
        (f"{TASKS}/", b"id=list", f"{TASKS}/"),
        ("/ui/", b"id=tasks", "/ui/"),
    ],
)
def test_an_id_beside_the_path_is_put_into_it(path: str, query_string: bytes, routed: str) -> None:
    assert routed_path(path, query_string) == routed


@pytest.mark.parametrize("entity_id", [".", ".."])
def test_what_clients_send_is_routed_back(entity_id: str) -> None:
    routed = f"{RECORDS}/page/{entity_id}"
    path, query = sent_path(routed)
    assert routed_path(path, f"{query}pageNumber=2".encode()) == routed


@pytest.mark.parametrize("entity_id", ["a", "...", "..a", "a%2F.."])
def test_other_ids_stay_in_the_path(entity_id: str) -> None:
    assert sent_path(f"{RECORDS}/page/{entity_id}") == (f"{RECORDS}/page/{entity_id}", "")
