"""Selection by rank: near the page at any offset of a filtered order, without reading what comes before it.

All details stand in one order, newest first; some of them match. The matches before a given *rank* of that order can
be counted, at a cost. To come near the match number ``offset``, ranks are aimed at by the share of matches between the
two nearest known ones: matches are mostly spread evenly over details, whatever the times are spread like. Where they
are not, halving takes turns with aiming.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: What a step has to leave of the way, or of the details, at most; and after how many that leave more, the next halves.
_POOR, _HOPELESS = 0.25, 2


class Mark(NamedTuple):
    """A place in the order: details before it, and how many of them match."""

    rank: int
    matches: int


class Near(NamedTuple):
    """A mark before or behind the goal, and the share of details that match around it (above 0, at most 1)."""

    mark: Mark
    share: float


async def approach(
    count: Callable[[int], Awaitable[int]],
    *,
    details: int,
    matches: int,
    offset: int,
    is_near: Callable[[int, float], bool],
    known: Mark | None = None,
    before: bool = False,
    lead: int = 0,
) -> Near:
    """A mark that is near the match number ``offset``, which is below ``matches``; ``matches`` of ``details`` match.

    It is the nearest one on either side; with ``before``, only one at or before the goal will do. ``lead`` is how many
    matches before the goal to aim: what is aimed at the goal itself is behind it half of the time.
    ``known`` is a mark that was counted before, neither first nor last. ``count`` gives the matches before a rank.
    ``is_near`` decides by the number of matches between mark and goal, and by the number of details that they are
    probably among; where the latter is 1 or less, it must be near.
    """
    low, high = Mark(0, 0), Mark(details, matches)
    if known and known.matches <= offset:
        low = known
    elif known:
        high = known
    poor = 0
    while True:
        span = high.rank - low.rank
        share = (high.matches - low.matches) / span
        gap, beyond = offset - low.matches, high.matches - offset
        nearer = gap if before else min(gap, beyond)
        if is_near(nearer, nearer / share):
            return Near(low if nearer == gap else high, share)
        # Between both marks: what is not near is more than one detail away, and the goal is before the high mark.
        rank = low.rank + (span // 2 if poor >= _HOPELESS else max(1, int((gap - lead) / share)))
        found = Mark(rank, await count(rank))
        if found.matches <= offset:
            low = found
        else:
            high = found
        # Coming near from either side is progress. Overshooting once is no sign of anything.
        is_poor = offset - low.matches > gap * _POOR and high.rank - low.rank > span * _POOR
        poor = poor + 1 if is_poor and poor < _HOPELESS else 0
