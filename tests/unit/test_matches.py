"""Matches of a filter in memory: pages of them, and what is kept of too many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replog.store.format.short_ids import short_of
from replog.store.read.details.match_survey import MatchSurvey, enclosing
from replog.store.read.details.matches import Matches

#: Ids by the time of their details.
found = st.dictionaries(st.binary(min_size=7, max_size=7), st.sampled_from((b"a1", b"b", b"Z z")), max_size=40)


def tails_of(ids: dict[bytes, bytes]) -> list[bytes]:
    return [time + short_of(detail_id) for time, detail_id in ids.items()]


@given(ids=found, offset=st.integers(0, 45), limit=st.integers(1, 10), is_sorted=st.booleans())
def test_a_page_is_in_order_of_time(ids: dict[bytes, bytes], offset: int, limit: int, *, is_sorted: bool) -> None:
    matches = Matches(tails_of(ids))
    if is_sorted:
        matches.sort()
    newest_first = [ids[time] for time in sorted(ids, reverse=True)]
    assert matches.page(offset, limit) == newest_first[offset : offset + limit]
    assert len(matches) == len(ids)


@given(
    ids=found, before=st.integers(0, 30), kept=st.integers(0, 40), offset=st.integers(0, 45), limit=st.integers(1, 9)
)
def test_a_window_has_the_pages_that_lie_in_it(
    ids: dict[bytes, bytes], before: int, kept: int, offset: int, limit: int
) -> None:
    newest_first = sorted(tails_of(ids), reverse=True)
    window = newest_first[before : before + kept]
    matches = Matches(window[::-1], before=before, total=len(ids))
    wanted = newest_first[offset : offset + limit]
    assert matches.has_page(offset, limit) == all(tail in window for tail in wanted)
    if matches.has_page(offset, limit):
        assert matches.page(offset, limit) == [ids[tail[:7]] for tail in wanted]


def test_the_newest_of_many_are_found_before_and_after_all_are_sorted() -> None:
    times = [number.to_bytes(7, "big") for number in range(3000)]
    matches = Matches([time + short_of(b"%d" % number) for number, time in enumerate(times)])
    for _ in range(2):
        assert matches.page(2, 3) == [b"2997", b"2996", b"2995"]
        matches.sort()


@given(st.lists(st.lists(st.binary(min_size=8, max_size=12), max_size=9), max_size=9), st.integers(0, 20))
def test_a_survey_keeps_all_of_few(steps: list[list[bytes]], kept: int) -> None:
    survey = MatchSurvey(wanted=None, kept=kept, sampled=0.5)
    for tails in steps:
        survey.add(tails)
    everything = [tail for tails in steps for tail in tails]
    assert survey.total == len(everything)
    assert survey.is_whole == (len(everything) <= kept)
    assert survey.tails == (everything if survey.is_whole else [])


def test_a_survey_of_many_keeps_the_newest_and_little_else() -> None:
    survey, newest = MatchSurvey(wanted=10, kept=100, sampled=0.5), list[bytes]()
    for number in range(5000):
        tail = (number * 7919 % 5000).to_bytes(7, "big") + b"id"
        survey.add([tail])
        newest = sorted([*newest, tail], reverse=True)[:10]
        assert len(survey.tails) <= 2001
    assert (survey.total, survey.is_whole, survey.sample) == (5000, False, [])
    assert sorted(survey.tails, reverse=True)[:10] == newest


def test_a_survey_of_many_draws_a_sample_of_all() -> None:
    survey = MatchSurvey(wanted=None, kept=100, sampled=0.1)
    tails = [number.to_bytes(7, "big") for number in range(10_000)]
    for at in range(0, len(tails), 50):
        survey.add(tails[at : at + 50])
    assert 800 < len(survey.sample) < 1200
    assert len({*survey.sample}) == len(survey.sample)
    assert {*survey.sample} <= {*tails}
    assert {tail[5] // 10 for tail in survey.sample} == {tail[5] // 10 for tail in tails}


@given(
    times=st.lists(st.integers(0, 999), min_size=1, max_size=60),
    part=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    margin=st.sampled_from((0.0, 4.0)),
)
def test_what_encloses_a_part_of_the_matches_is_above_and_below_it(
    times: list[int], part: list[float], margin: float
) -> None:
    sample = [time.to_bytes(7, "big") for time in times]
    first, last = part
    above, below = enclosing(sample, first, last, margin=margin)
    assert above > below or above == below in sample
    ordered = sorted(sample, reverse=True)
    # With all matches for a sample, those of the part lie between.
    within = ordered[int(len(ordered) * first) : int(len(ordered) * last) + 1]
    assert all(below <= tail <= above for tail in within)
