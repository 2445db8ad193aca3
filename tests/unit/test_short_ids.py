from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog.store.format.short_ids import ids_of, short_of

#: Of digits, what lies beside and between them, and anything.
ids = st.text(alphabet="0123456789abcdef-./") | st.text(alphabet="\x00,-./0189:@Z`abefgz\x7fé\uffff😀") | st.text()
some = ids.filter(bool).map(str.encode)


@given(some, some)
def test_short_ids_sort_as_the_ids(one: bytes, other: bytes) -> None:
    assert (short_of(one) < short_of(other)) == (one < other)


@given(some, st.binary(max_size=9))
def test_short_ids_of_one_beginning_sort_as_the_ids(one: bytes, more: bytes) -> None:
    assert (short_of(one) < short_of(one + more)) == bool(more)
    assert (short_of(one + more) < short_of(one + b"5")) == (more < b"5")


@given(st.lists(some))
def test_short_ids_give_the_ids_back(detail_ids: list[bytes]) -> None:
    """Of any lengths, together."""
    assert ids_of([short_of(detail_id) for detail_id in detail_ids]) == detail_ids


@pytest.mark.parametrize(
    ("detail_id", "length"),
    [("0123456789abcdef01234567", 15), ("0c5a4f0e-7b1d-4b7e-9d1a-0123456789ab", 25), ("x" * 36, 41), ("é", 7)],
)
def test_ids_as_workers_make_them_are_short(detail_id: str, length: int) -> None:
    assert len(short_of(detail_id.encode())) == length
