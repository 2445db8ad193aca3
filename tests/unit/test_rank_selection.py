from __future__ import annotations

import random
from bisect import bisect_left
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog.store.read.rank_selection import approach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Order:
    """Details in order, of which those at ``matching`` ranks match; ``counted`` is the number of counting steps."""

    def __init__(self, details: int, matching: Iterable[int]) -> None:
        self.details = details
        self.matching = sorted(matching)
        self.counted = 0

    async def count(self, rank: int) -> int:
        assert 0 < rank < self.details
        self.counted += 1
        return bisect_left(self.matching, rank)

    async def gap(self, offset: int, is_near: Callable[[int, float], bool], *, before: bool) -> int:
        """Matches between the mark that was found and the goal."""
        near = await approach(
            self.count,
            details=self.details,
            matches=len(self.matching),
            offset=offset,
            is_near=is_near,
            before=before,
        )
        assert near.mark.matches == bisect_left(self.matching, near.mark.rank)
        assert 0 < near.share <= 1
        assert near.mark.matches <= offset or not before
        gap = abs(offset - near.mark.matches)
        assert is_near(gap, gap / near.share)
        return gap


SIZE = 100_000
MATCHING: dict[str, Callable[[], Iterable[int]]] = {
    "all": lambda: range(SIZE),
    "every third": lambda: range(0, SIZE, 3),
    "a tenth at random": lambda: random.Random(1).sample(range(SIZE), SIZE // 10),
    "the newest": lambda: range(5000),
    "the oldest": lambda: range(SIZE - 5000, SIZE),
    "both ends": lambda: [*range(2000), *range(SIZE - 2000, SIZE)],
    "one": lambda: [77_777],
    "ever denser": lambda: {SIZE - 1 - SIZE // (i + 1) for i in range(1, 3000)},
}


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("matching", MATCHING)
async def test_a_place_near_any_match_is_found_in_few_steps_however_they_are_spread(
    matching: str, *, before: bool
) -> None:
    order = Order(SIZE, MATCHING[matching]())
    for part in (0, 0.001, 0.3, 0.5, 0.999):
        order.counted = 0
        await order.gap(int(part * len(order.matching)), lambda gap, among: gap <= 400 or among <= 500, before=before)
        assert order.counted <= 20


@given(
    matching=st.sets(st.integers(0, 60), min_size=1),
    more=st.integers(0, 10),
    offset=st.integers(0, 60),
    before=st.booleans(),
)
async def test_the_nearest_place_is_found_where_it_must_be(
    matching: set[int], more: int, offset: int, *, before: bool
) -> None:
    order = Order(max(matching) + 1 + more, matching)
    await order.gap(offset % len(matching), lambda _, among: among <= 1, before=before)


async def test_a_page_in_the_middle_of_many_takes_few_steps() -> None:
    chance = random.Random(1)
    steps = 0
    for _ in range(50):
        order = Order(SIZE, chance.sample(range(SIZE), SIZE // 2))
        await order.gap(chance.randrange(SIZE // 2), lambda gap, _: gap <= 400, before=False)
        steps += order.counted
    assert steps <= 75
