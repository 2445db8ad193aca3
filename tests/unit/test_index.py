from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog.events import Progress, Tally, parse
from replog.store.index import UNPLACED, Sums, escape, package_name, placement_of, sums_of

if TYPE_CHECKING:
    from replog.events import DetailEvent

texts = st.text(alphabet="\x00\x01\x02ab\u0fff\uffff😀", max_size=6)


def facts(**known: object) -> DetailEvent:
    event = {
        "type": "detail.started",
        "recordId": "r",
        "detailId": "d",
        "eventTime": "2021-05-12T12:00:00Z",
        **known,
    }
    return cast("DetailEvent", parse(json.dumps(event).encode()))


@given(texts, texts)
def test_escaped_texts_sort_as_the_texts(one: str, other: str) -> None:
    assert (escape(one) < escape(other)) == (one < other)


@given(texts, texts)
def test_prefixes_survive_escaping(text: str, prefix: str) -> None:
    assert escape(text).startswith(escape(prefix)) == text.startswith(prefix)


@given(texts)
def test_escaped_texts_hold_no_nul(text: str) -> None:
    assert b"\x00" not in escape(text)


@pytest.mark.parametrize(
    ("known", "name", "marks"),
    [
        ({"packageName": "p", "path": "/x", "artifactName": "a"}, b"pp", (0, 1, 1)),
        ({"packageKey": "npm://hello"}, b"phello", (0, 0, 0)),
        ({"path": "/x", "artifactName": "a"}, b"t/x", (0, 0, 1)),
        ({"artifactName": "a"}, b"aa", (0, 0, 0)),
        ({"conflictStrategy": "SKIP"}, b"", (1, 0, 0)),
        ({"packageName": ""}, b"p", (0, 0, 0)),
    ],
)
def test_a_detail_is_indexed_by_its_first_name(
    known: dict[str, object], name: bytes, marks: tuple[int, int, int]
) -> None:
    placement = placement_of(facts(**known))
    assert (placement.name, placement.marks) == (name, marks)


def test_a_detail_without_facts_has_a_place() -> None:
    assert placement_of(None) == UNPLACED


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("n", "npm://k", "n"),
        (None, "npm://k", "k"),
        (None, "npm://", ""),
        (None, "k", "k"),
        (None, None, None),
    ],
)
def test_a_package_is_named_by_its_name_else_by_its_key(
    name: str | None, key: str | None, expected: str | None
) -> None:
    assert package_name(name, key) == expected


def test_sums_keep_more_than_64_bits() -> None:
    most = 2**63 - 1
    tally = Tally(skip=most)
    parts = sums_of((0, 0, 0), Progress(blob=tally, version=tally, total_size=most))
    sums = Sums(*(1_000_000 * part for part in parts))
    assert (sums.skip, sums.total_size) == (1_000_000 * most, 1_000_000 * most)


@pytest.mark.parametrize(
    ("progress", "skip"),
    [
        (Progress(), 0),
        (Progress(blob=Tally(skip=1)), 1),
        (Progress(blob=Tally(skip=1), node=Tally(skip=2)), 2),
        (Progress(blob=Tally(skip=1), node=Tally(skip=2), version=Tally(skip=4)), 4),
        (Progress(blob=Tally(skip=1), version=Tally()), 0),
    ],
)
def test_what_is_skipped_is_not_added_up_across_units(progress: Progress, skip: int) -> None:
    assert sums_of((0, 0, 0), progress).skip == skip
