from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog.store.read.details.filter_planner import Condition, Pairs, Plan, cheapest, cost

conditions = st.lists(
    st.builds(Condition, st.integers(1, 1_000_000), st.booleans()),
    min_size=1,
    max_size=4,
)
pairs = st.none() | st.builds(Pairs, st.integers(1, 1_000_000), st.integers(1, 10_000))


@pytest.mark.parametrize(
    ("entries", "of_pairs", "plan"),
    [
        ([Condition(7)], None, Plan(0)),
        # The rarer one is read; of few, values are.
        ([Condition(60_000), Condition(3)], None, Plan(1, checked=(0,))),
        # Both are read where there are many.
        ([Condition(60_000), Condition(20_000)], None, Plan(1, joined=(0,))),
        # The index is asked for an exact name.
        ([Condition(900), Condition(60_000, is_exact=True)], None, Plan(0, asked=(1,))),
        ([Condition(900), Condition(1_000, is_exact=True)], None, Plan(0, joined=(1,))),
        # What is left after one is read is asked for, or checked at one go.
        (
            [Condition(100_000), Condition(300_000), Condition(900_000, is_exact=True)],
            None,
            Plan(0, joined=(1,), asked=(2,)),
        ),
        ([Condition(10), Condition(30_000), Condition(60_000)], None, Plan(0, checked=(1, 2))),
        # Few pairs are read before many names.
        ([Condition(1_000_000)], Pairs(5_000, 3), Plan(None, checked=(0,))),
        ([Condition(1_000_000, is_exact=True)], Pairs(5_000, 3), Plan(None, asked=(0,))),
        ([Condition(30_000)], Pairs(20_000, 100), Plan(0)),
        ([Condition(30_000)], Pairs(2, 10_000), Plan(0)),
    ],
)
def test_the_cheapest_plan(entries: list[Condition], of_pairs: Pairs | None, plan: Plan) -> None:
    assert cheapest(entries, of_pairs) == plan


@given(conditions, pairs)
def test_each_condition_is_met_once(entries: list[Condition], of_pairs: Pairs | None) -> None:
    plan = cheapest(entries, of_pairs)
    driver = [] if plan.driver is None else [plan.driver]
    assert sorted([*driver, *plan.joined, *plan.asked, *plan.checked]) == [*range(len(entries))]
    assert all(entries[number].is_exact for number in plan.asked)
    assert driver or of_pairs


@given(conditions, pairs)
def test_no_plan_costs_more_than_reading_all_entries_or_the_values_of_the_rarest(
    entries: list[Condition], of_pairs: Pairs | None
) -> None:
    plan = cheapest(entries, of_pairs)
    numbers = range(len(entries))
    rarest = min(numbers, key=lambda number: entries[number].entries)
    others = tuple(number for number in numbers if number != rarest)
    least = min(cost(Plan(rarest, joined=others), entries, None), cost(Plan(rarest, checked=others), entries, None))
    assert cost(plan, entries, of_pairs) <= least
