from __future__ import annotations

import random
from bisect import bisect_left
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replog.store import selection
from replog.store.selection import TIME_BYTES, TOP, select

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class SortedRanges:
    """Ranges in memory; ``counted`` is the number of counting steps."""

    def __init__(self, members: dict[bytes, list[bytes]]) -> None:
        self.members = {head: sorted(tails) for head, tails in members.items()}
        self.counted = 0
        self.fetched = 0

    @property
    def sizes(self) -> dict[bytes, int]:
        return {head: len(tails) for head, tails in self.members.items() if tails}

    async def count(self, low: bytes, high: bytes, heads: Sequence[bytes]) -> list[int]:
        self.counted += 1
        return [bisect_left(self.members[head], high) - bisect_left(self.members[head], low) for head in heads]

    async def fetch(self, low: bytes, high: bytes, heads: Sequence[bytes]) -> list[bytes]:
        found = [tail for head in heads for tail in self.members[head] if low <= tail < high]
        self.fetched += len(found)
        return found

    async def pick(self, head: bytes, low: bytes, index: int) -> bytes:
        return self.members[head][bisect_left(self.members[head], low) + index]

    async def page(self, offset: int, limit: int) -> list[bytes]:
        tails = [tail for tails in self.members.values() for tail in tails]
        return await select(
            self,
            self.sizes,
            offset=offset,
            limit=limit,
            oldest=min(tails)[:TIME_BYTES],
            newest=max(tails)[:TIME_BYTES],
        )


def tail(ms: int, number: int) -> bytes:
    return ms.to_bytes(TIME_BYTES, "big") + b"%06d" % number


def spread(times: list[int], heads: int) -> SortedRanges:
    members: dict[bytes, list[bytes]] = {b"%03d" % head: [] for head in range(heads)}
    for number, ms in enumerate(times):
        members[b"%03d" % (number % heads)].append(tail(ms, number))
    return SortedRanges(members)


def newest_first(ranges: SortedRanges) -> list[bytes]:
    return sorted((tail for tails in ranges.members.values() for tail in tails), reverse=True)


DISTRIBUTIONS: dict[str, Callable[[int], list[int]]] = {
    "even": lambda n: list(range(n)),
    "all at one time": lambda n: [5] * n,
    "half at one time": lambda n: [n // 2 if i % 2 else i for i in range(n)],
    "two far ends": lambda n: [0 if i % 2 else 2**48 for i in range(n)],
    "ever denser": lambda n: [2**40 - 2**40 // (i + 1) for i in range(n)],
    "one far outlier": lambda n: [0, *([2**48] * (n - 1))],
}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("heads", [1, 7, 200])
async def test_every_page_is_the_one_that_sorting_gives(distribution: str, heads: int) -> None:
    ranges = spread(DISTRIBUTIONS[distribution](20_000), heads)
    expected = newest_first(ranges)
    for offset in (0, 1, 777, 10_000, 19_980, 19_999, 20_000, 30_000):
        for limit in (1, 20, 1000):
            assert await ranges.page(offset, limit) == expected[offset : offset + limit]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 99)), min_size=1, unique=True),
    st.integers(0, 60),
    st.integers(1, 20),
)
@settings(deadline=None)
async def test_any_small_set_is_paged_right_when_little_may_be_read_beside_the_page(
    members: list[tuple[int, int, int]], offset: int, limit: int
) -> None:
    ranges = SortedRanges({b"%d" % head: [] for head in range(5)})
    for head, ms, number in members:
        ranges.members[b"%d" % head].append(tail(ms, 1000 * head + number))
    for tails in ranges.members.values():
        tails.sort()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "SLACK", 0)
        assert await ranges.page(offset, limit) == newest_first(ranges)[offset : offset + limit]


async def test_a_page_in_the_middle_of_many_takes_few_steps_and_reads_little() -> None:
    chance = random.Random(1)
    ranges = spread([chance.randrange(3_600_000) for _ in range(100_000)], 100)
    await ranges.page(50_000, 20)
    assert ranges.counted <= 8
    assert ranges.fetched <= 20 + selection.SLACK


def test_no_tail_reaches_the_top() -> None:
    assert tail(2**49, 0) < TOP
