"""Plans of searches by name: the conditions that are read from their index, and how the others are checked. Pure.

The *driver* is the condition whose entries are read first. Each other condition is

``asked``     the index is asked for the one entry that each detail has if it meets the condition: that needs an exact
              name;
``joined``    all its entries are read too, and what stands in both stays;
``checked``   the details' values are read and compared.

What is read of an index costs the same for each entry, whatever comes of it. What is asked and checked costs by the
details that are left, of which there are at most as many as the rarest condition has entries that was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Way = Literal["joined", "asked", "checked"]


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of the steps of a plan, in entries read."""

    #: Keeping one entry that others are joined with.
    keeping: float = 0.5
    #: Asking for one entry.
    asking: float = 2.5
    #: Reading one value.
    value: float = 20.0
    #: Finding where the entries of one head begin.
    head: float = 20.0


COSTS = Costs()


class Condition(NamedTuple):
    """A condition on a name: the entries that meet it or, with one of several pairs, may; whether it is exact."""

    entries: int
    is_exact: bool = False


class Pairs(NamedTuple):
    """A condition on pairs: the details that meet it, in the index by pair under so many heads."""

    entries: int
    heads: int


class Plan(NamedTuple):
    """Numbers of conditions, by what is done with them; a ``driver`` of None is the pairs."""

    driver: int | None
    joined: tuple[int, ...] = ()
    asked: tuple[int, ...] = ()
    checked: tuple[int, ...] = ()


def cheapest(conditions: Sequence[Condition], pairs: Pairs | None, costs: Costs = COSTS) -> Plan:
    """The plan that costs least; there is at least one condition. ``pairs`` are None where all are admitted."""
    return min(_plans(conditions, pairs), key=lambda plan: cost(plan, conditions, pairs, costs))


def cost(plan: Plan, conditions: Sequence[Condition], pairs: Pairs | None, costs: Costs = COSTS) -> float:
    """The most that ``plan`` takes, in entries read."""
    if plan.driver is not None:
        left, spent = conditions[plan.driver].entries, float(conditions[plan.driver].entries)
    else:
        left, heads = pairs or Pairs(0, 0)
        spent = left + costs.head * heads
    for number in plan.asked:
        spent += costs.asking * left
        left = min(left, conditions[number].entries)
    spent += costs.keeping * left if plan.joined else 0
    for number in plan.joined:
        spent += conditions[number].entries
        left = min(left, conditions[number].entries)
    return spent + costs.value * left if plan.checked else spent


def _plans(conditions: Sequence[Condition], pairs: Pairs | None) -> Iterator[Plan]:
    drivers: list[int | None] = [*range(len(conditions)), *([None] if pairs else [])]
    for driver in drivers:
        others = [number for number in range(len(conditions)) if number != driver]
        for ways in product(*(_ways(conditions[number]) for number in others)):
            chosen = list(zip(others, ways, strict=True))
            yield Plan(driver, *(_of(chosen, way) for way in ("joined", "asked", "checked")))


def _ways(condition: Condition) -> list[Way]:
    return ["joined", "asked", "checked"] if condition.is_exact else ["joined", "checked"]


def _of(chosen: list[tuple[int, Way]], way: str) -> tuple[int, ...]:
    return tuple(number for number, of_it in chosen if of_it == way)
