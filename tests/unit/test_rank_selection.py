from __future__ import annotations

import random
from bisect import bisect_left
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog.store.read.rank_selection import Mark, Near, approach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Order:
    """Details in order, of which those at ``matching`` ranks match; ``asked`` are the ranks that were counted to."""

    def __init__(self, details: int, matching: Iterable[int]) -> None:
        self.details = details
        self.matching = sorted(matching)
        self.asked: list[int] = []

    @property
    def counted(self) -> int:
        return len(self.asked)

    async def count(self, rank: int) -> int:
        assert 0 < rank < self.details
        self.asked.append(rank)
        return bisect_left(self.matching, rank)

    async def gap(self, offset: int, is_near: Callable[[int, float], bool], *, before: bool, lead: int = 0) -> int:
        """Matches between the mark that was found and the goal."""
        near = await approach(
            self.count,
            details=self.details,
            matches=len(self.matching),
            offset=offset,
            is_near=is_near,
            before=before,
            lead=lead,
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
        order.asked.clear()
        await order.gap(int(part * len(order.matching)), lambda gap, among: gap <= 400 or among <= 500, before=before)
        assert order.counted <= 20


@given(
    matching=st.sets(st.integers(0, 60), min_size=1),
    more=st.integers(0, 10),
    offset=st.integers(0, 60),
    before=st.booleans(),
    lead=st.integers(0, 70),
)
async def test_the_nearest_place_is_found_where_it_must_be(
    matching: set[int], more: int, offset: int, lead: int, *, before: bool
) -> None:
    order = Order(max(matching) + 1 + more, matching)
    await order.gap(offset % len(matching), lambda _, among: among <= 1, before=before, lead=lead)


async def test_a_page_in_the_middle_of_many_takes_few_steps() -> None:
    chance = random.Random(1)
    steps = 0
    for _ in range(50):
        order = Order(SIZE, chance.sample(range(SIZE), SIZE // 2))
        await order.gap(chance.randrange(SIZE // 2), lambda gap, _: gap <= 400, before=False)
        steps += order.counted
    assert steps <= 75


async def test_aiming_before_the_goal_takes_fewer_steps_where_only_a_mark_before_it_will_do() -> None:
    """Half of what is aimed at the goal itself is behind it."""
    chance = random.Random(1)
    steps = dict.fromkeys((0, 200), 0)
    for _ in range(50):
        order, offset = Order(SIZE, chance.sample(range(SIZE), SIZE // 2)), chance.randrange(SIZE // 2)
        for lead in steps:
            order.asked.clear()
            await order.gap(offset, lambda gap, _: gap <= 400, before=True, lead=lead)
            steps[lead] += order.counted
    assert steps[200] <= 0.75 * steps[0]


@pytest.mark.parametrize(("rank", "before"), [(500, True), (500, False), (510, False)])
async def test_a_known_mark_that_is_near_is_taken_without_counting(rank: int, *, before: bool) -> None:
    order, known = Order(1000, range(1000)), Mark(rank, rank)
    near = await approach(
        order.count,
        details=1000,
        matches=1000,
        offset=500,
        is_near=lambda gap, _: gap <= 10,
        known=known,
        before=before,
    )
    assert (near, order.asked) == (Near(known, 1.0), [])


async def test_a_mark_behind_the_goal_will_do_unless_one_before_is_asked_for() -> None:
    order = Order(1000, range(1000))
    near = await approach(
        order.count, details=1000, matches=1000, offset=500, is_near=lambda gap, _: gap <= 10, known=Mark(505, 505)
    )
    assert (near.mark, order.asked) == (Mark(505, 505), [])


async def test_a_known_mark_narrows_what_is_counted() -> None:
    for known in (Mark(400, 200), Mark(600, 300)):
        order = Order(1000, range(0, 1000, 2))
        await approach(
            order.count,
            details=1000,
            matches=500,
            offset=250,
            is_near=lambda gap, among: gap == 0 or among <= 1,
            known=known,
        )
        low, high = (known.rank, 1000) if known.matches <= 250 else (0, known.rank)
        assert all(low < rank < high for rank in order.asked)


async def test_every_third_step_halves_where_aiming_does_not_help() -> None:
    """All matches are last, where an even spread has them nowhere near."""
    order = Order(1024, range(1020, 1024))
    await order.gap(1, lambda gap, among: gap == 0 or among <= 1, before=True)
    aimed = [256, 256 + 768 // 4]
    halved = aimed[-1] + (1024 - aimed[-1]) // 2
    assert order.asked[:4] == [*aimed, halved, halved + (1024 - halved) // 4]


async def test_steps_that_come_nearer_are_no_reason_to_halve() -> None:
    """The first comes near in matches, and leaves most of the details; the next two come no nearer in either."""
    order = Order(1024, [*range(100), *range(300, 1024)])
    await order.gap(101, lambda gap, among: gap == 0 or among <= 1, before=True)
    first = int(101 / (824 / 1024))
    assert order.asked[:4] == [first, first + 1, first + 2, first + 2 + (1024 - first - 2) // 2]


async def test_the_place_aimed_at_is_rounded_down() -> None:
    order = Order(3, [0, 2])
    await order.gap(1, lambda _, among: among <= 1, before=True)
    assert order.asked == [1]


@pytest.mark.parametrize(
    ("matching", "offset", "asked"),
    [
        # The first step leaves 5 of 20 matches, just a quarter; the second is poor; the third aims 5 matches on.
        pytest.param(range(25, 57), 20, [40, 47, 40 + 5], id="a quarter of the way"),
        # The first step is poor; the second leaves 4 of 40 details; the third aims 3 matches on.
        pytest.param(range(29, 45), 10, [40, 36, 36 + 3], id="a tenth of the details"),
    ],
)
async def test_a_quarter_that_is_left_is_progress(matching: range, offset: int, asked: list[int]) -> None:
    """Without it, the third step would halve."""
    order = Order(64, matching)
    await order.gap(offset, lambda _, among: among <= 1, before=True)
    assert order.asked == asked
