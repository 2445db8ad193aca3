"""One table of statuses: registers, events and answers go by it."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any, get_args

import pytest

from replog.events import parse
from replog.records import join, outcome_of
from replog.state import registers_of
from replog.statuses import BY_LETTER, STATUSES, Status, StatusName, TerminalName


def finished(status: Status, **fields: Any) -> Any:
    event = {"type": "detail.finished", "recordId": "r", "detailId": "d", "eventTime": "2021-05-12T12:00:00Z"}
    return registers_of(parse(json.dumps({**event, "status": status.name, **fields}).encode()))


def test_types_name_the_statuses_of_the_table() -> None:
    assert get_args(StatusName) == tuple(status.name for status in STATUSES)
    assert get_args(TerminalName) == tuple(status.name for status in STATUSES if status.terminal)


def test_letters_and_precedences_are_their_own() -> None:
    assert len(BY_LETTER) == len({status.precedence for status in STATUSES}) == len(STATUSES)
    assert all(len(status.letter) == 1 for status in STATUSES)


def test_letters_sort_as_the_names_do() -> None:
    """Outcomes are compared as bytes, and as canonical JSON by contract."""
    by_letter = sorted(STATUSES, key=lambda status: status.letter)
    assert by_letter == sorted(STATUSES, key=lambda status: status.name)


@pytest.mark.parametrize("reason", [{}, {"errorReason": "refused"}], ids=["no reason", "a reason"])
def test_of_a_tie_the_greater_precedence_wins(reason: dict[str, str]) -> None:
    terminal = [status for status in STATUSES if status.terminal]
    for a, b in permutations(terminal, 2):
        winner = max(a, b, key=lambda status: status.precedence)
        assert outcome_of(join(finished(a, **reason), finished(b, **reason)).outcome)[0] == winner.name


@pytest.mark.parametrize(
    "status", [status for status in STATUSES if not status.terminal], ids=lambda status: status.name
)
def test_what_is_not_terminal_cannot_be_an_end(status: Status) -> None:
    with pytest.raises(Exception, match=f"status is wrong.*{status.name}"):
        finished(status)
