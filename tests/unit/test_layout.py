"""What the marks of a store tell, and what an operator is told to do."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from replog.store.format.keys import BUCKETS
from replog.store.format.layout import LAYOUT, Mark, all_buckets, own_mark, problem_of_marks, problem_of_unmarked


def test_the_own_mark_is_the_layout_and_the_version() -> None:
    assert own_mark() == f"{LAYOUT} {version('replog')}".encode()


def test_a_store_of_the_own_layout_is_no_problem_whichever_version_wrote_it() -> None:
    assert problem_of_marks("p", [own_mark(), Mark(LAYOUT, "0.0.9").encoded(), Mark(LAYOUT, "7.2rc1").encoded()]) == ""


def test_an_empty_store_is_no_problem() -> None:
    assert problem_of_marks("p", []) == ""


@pytest.mark.parametrize("other", [LAYOUT - 1, LAYOUT + 1, 12])
def test_another_layout_is_named_with_its_version_and_what_to_do(other: int) -> None:
    problem = problem_of_marks("records", [own_mark(), Mark(other, "9.8").encoded()])
    for part in ("records", f"layout {other}", "replog 9.8", version("replog"), f"layout {LAYOUT}", "run the version"):
        assert part in problem
    assert "Rebuilding the store" in problem
    assert "\n" not in problem


@pytest.mark.parametrize("garbled", [b"", b"1", b"x 0.1", b"1 0.1 more", b"-1 0.1", b"1\n0.1", b"\xff" * 1000])
def test_what_is_no_mark_is_shown_and_refused(garbled: bytes) -> None:
    problem = problem_of_marks("p", [garbled])
    assert repr(garbled[:20])[:-1] in problem
    assert len(problem) < 1000


def test_data_without_a_mark_is_of_an_earlier_build() -> None:
    problem = problem_of_unmarked("records")
    assert "records" in problem
    assert "Rebuilding the store" in problem


def test_each_bucket_has_a_mark_of_its_own() -> None:
    assert len({bucket.layout for bucket in all_buckets("p")}) == BUCKETS
