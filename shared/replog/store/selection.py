"""Selection by rank: the page at any offset of many sorted ranges, without reading what comes before it.

A range is all members of a lex zset that begin with one *head* (a pair and a status); behind the head comes the *tail*,
``time id``, by which the ranges are merged, newest first. To find the tails at given ranks, a window that holds them
is narrowed by counting, over all ranges, the tails at or above a pivot: interpolated by time as long as that
helps, else halfway in time, else (many tails of one time) the tail of a member in the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Bytes of time at the beginning of a tail.
TIME_BYTES = 7
#: Above every tail: a time's first byte is 0 or 1.
TOP = b"\xff"
#: Members that may be read beyond those asked for; less costs more steps, more costs longer calls.
SLACK = 500
#: How far beside the goal interpolation aims, as a share of the window: about what arrivals scatter.
_MARGIN = 0.004
#: Steps that leave more than half of the window, after which interpolation and then halving are given up.
_POOR, _HOPELESS = 2, 5


class Ranges(Protocol):
    """What selection asks of a lex zset."""

    async def count(self, low: bytes, high: bytes, heads: Sequence[bytes]) -> list[int]:
        """Members in each head's range with low <= tail < high."""

    async def fetch(self, low: bytes, high: bytes, heads: Sequence[bytes]) -> list[bytes]:
        """Tails of the members in the heads' ranges with low <= tail < high, in any order."""

    async def pick(self, head: bytes, low: bytes, index: int) -> bytes:
        """Tail of the member at ``index`` among those of the head with low <= tail."""


@dataclass(slots=True)
class _Window:
    """Tails in low <= tail < high. ``above`` counts those at or over ``high``; ``sizes`` those inside, by head."""

    low: bytes
    high: bytes
    oldest_ms: int
    newest_ms: int
    above: int
    sizes: dict[bytes, int]

    @property
    def size(self) -> int:
        return sum(self.sizes.values())


async def select(
    ranges: Ranges, sizes: dict[bytes, int], *, offset: int, limit: int, oldest: bytes, newest: bytes
) -> list[bytes]:
    """The tails at ranks ``offset`` to ``offset + limit``, newest first.

    ``sizes`` are the heads and the numbers of their members; ``oldest`` and ``newest`` are times (as tails begin)
    that enclose all members.
    """
    end = min(offset + limit, sum(sizes.values()))
    if offset >= end:
        return []
    window = _Window(b"", TOP, int.from_bytes(oldest, "big"), int.from_bytes(newest, "big") + 1, 0, dict(sizes))
    await _narrow(ranges, window, offset, end)
    tails = await ranges.fetch(window.low, window.high, list(window.sizes))
    tails.sort(reverse=True)
    return tails[offset - window.above : end - window.above]


async def _narrow(ranges: Ranges, window: _Window, begin: int, end: int) -> None:
    size, poor_steps = window.size, 0
    chance = Random(begin)  # noqa: S311 - picks pivots; seeded so that a page costs the same each time
    while size > end - begin + SLACK:
        span = window.newest_ms - window.oldest_ms
        if span <= 1 or poor_steps >= _HOPELESS:
            pivot = await _picked(ranges, window, chance)
        else:
            at = span // 2 if poor_steps >= _POOR else _interpolated(window, begin, end, span)
            pivot = (window.oldest_ms + max(1, min(span - 1, at))).to_bytes(TIME_BYTES, "big")
        await _cut(ranges, window, pivot, begin, end)
        previous, size = size, window.size
        poor_steps = poor_steps + 1 if size > previous // 2 else 0


async def _picked(ranges: Ranges, window: _Window, chance: Random) -> bytes:
    # Any member with the same probability: at least a third of them cut the window.
    (head,) = chance.choices(list(window.sizes), list(window.sizes.values()))
    return await ranges.pick(head, window.low, chance.randrange(window.sizes[head]))


def _interpolated(window: _Window, begin: int, end: int, span: int) -> int:
    # Aim just beside the wanted ranks, on the side where more is left to cut.
    size = window.size
    margin = int(size * _MARGIN) + SLACK // 8
    before, after = begin - window.above, window.above + size - end
    wanted = begin - margin if before >= after else end + margin
    return span - span * (wanted - window.above) // size


async def _cut(ranges: Ranges, window: _Window, pivot: bytes, begin: int, end: int) -> None:
    heads = list(window.sizes)
    counts = dict(zip(heads, await ranges.count(pivot, window.high, heads), strict=True))
    reached = window.above + sum(counts.values())
    if reached >= end:
        window.low, window.sizes = pivot, {head: count for head, count in counts.items() if count}
        window.oldest_ms = int.from_bytes(pivot[:TIME_BYTES], "big")
    elif reached <= begin:
        window.high, window.above = pivot, reached
        window.newest_ms = min(window.newest_ms, int.from_bytes(pivot[:TIME_BYTES], "big") + (len(pivot) > TIME_BYTES))
        left = {head: window.sizes[head] - count for head, count in counts.items()}
        window.sizes = {head: count for head, count in left.items() if count}
