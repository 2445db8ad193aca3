from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog.events import Progress, Tally, parse
from replog.store.format.index_entries import (
    KEYED,
    UNPLACED,
    Sums,
    escape,
    package_key,
    package_name,
    placement_of,
    split_pair,
    sums_of,
)
from replog.store.read.filters import DetailFilter

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
    ("known", "scheme", "names"),
    [
        ({"packageName": "p", "path": "/x", "artifactName": "a", "version": "1"}, b"", {b"pp", b"t/x", b"aa", b"v1"}),
        ({"packageKey": "npm://hello"}, b"npm=", {b"phello"}),
        ({"packageKey": "npm://hello", "packageName": "hello"}, b"npm=", {b"phello"}),
        ({"packageKey": "npm://hello", "packageName": "other"}, b"npm~", {b"pother", b"knpm://hello"}),
        ({"packageKey": "plain", "packageName": "other"}, b"", {b"pother"}),
        ({"packageName": "a://b"}, b"a~", {b"pa://b", b"ka://b"}),
        ({"packageKey": "", "packageName": "a://b"}, b"", {b"pa://b"}),
        ({"packageKey": "a://b://c"}, b"a=", {b"pb://c"}),
        ({"packageKey": "://"}, b"=", {b"p"}),
        ({"packageKey": "\x00=://x"}, b"\x01\x01==", {b"px"}),
        ({"path": "/x", "artifactName": "a"}, b"", {b"t/x", b"aa"}),
        ({"artifactName": "a\x00", "versions": ["1"]}, b"", {b"aa\x01\x01"}),
        ({"packageName": "", "version": ""}, b"", {b"p", b"v"}),
        ({"repoType": "NPM"}, b"", set()),
    ],
)
def test_a_detail_is_indexed_by_each_of_its_names(known: dict[str, object], scheme: bytes, names: set[bytes]) -> None:
    placement = placement_of(facts(**known))
    _, _, found, _ = split_pair(placement.pair + b"\x01")
    assert (found, {*placement.names}) == (scheme, names)
    assert len(placement.names) == len(names)


packages = st.none() | st.sampled_from(("", "a", "ab", "a://", "a://a", "ab://a", "://", "a://a://b"))


@given(packages, packages, st.sampled_from(("a://", "a://a", "ab://", "://", "a://a://", "://a")))
def test_what_is_indexed_says_whether_the_key_begins_with_a_text(name: str | None, key: str | None, asked: str) -> None:
    known = {field: text for field, text in (("packageName", name), ("packageKey", key)) if text is not None}
    placement = placement_of(facts(**known, remoteCluster="c"))
    flt = DetailFilter(package_key=asked)
    cluster, repo, scheme, _ = split_pair(placement.pair + b"\x01")
    found = flt.admission()(cluster, repo, scheme)
    for condition in flt.names:
        of_name, of_key = (any(name.startswith(start) for name in placement.names) for start in condition.starts)
        found = found and (of_key if scheme.endswith(KEYED) else of_name)
    assert found == (package_key(name, key) or "").startswith(asked)


def test_a_conflict_is_counted() -> None:
    assert placement_of(facts(conflictStrategy="SKIP")).conflicts == 1
    assert placement_of(facts(path="/x")).conflicts == 0


@given(*4 * [texts])
def test_pairs_are_told_apart(cluster: str, repo: str, scheme: str, name: str) -> None:
    first = placement_of(facts(remoteCluster=cluster, repoName=repo, packageKey=f"{scheme}://{name}")).pair
    assert split_pair(first + b"\xf1\x00") == [escape(cluster), escape(repo), escape(scheme) + b"=", b"\xf1\x00"]
    assert first != placement_of(facts(remoteCluster=cluster, repoName=repo, packageName=name)).pair


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
    parts = sums_of(0, Progress(blob=tally, version=tally, total_size=most))
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
    assert sums_of(0, progress).skip == skip
