"""Which events a fold takes: those of named records, and of records that events name with a task."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from replog.events import parse
from replog_repair.verification.fold_selection import Selection

if TYPE_CHECKING:
    from replog.events import Event


def event(record_id: str, task_key: str | None = None) -> Event:
    of: dict[str, Any] = {"type": "detail.started", "recordId": record_id, "detailId": "d"}
    named = {"taskKey": task_key} if task_key else {}
    return parse(json.dumps(of | named | {"eventTime": "2021-05-12T12:00:00Z"}).encode())


def test_all_records_are_selected_by_default() -> None:
    selection = Selection()
    assert selection.takes(event("any"))
    assert selection.close() == set()


def test_named_records_are_selected() -> None:
    selection = Selection(["a"])
    assert [selection.takes(event(record_id, "t")) for record_id in ("a", "b")] == [True, False]
    assert selection.close() == set()


def test_an_event_that_names_the_task_selects_its_record_from_then_on() -> None:
    selection = Selection(["a"], task_key="t")
    events = [event("b"), event("b", "other"), event("b", "t"), event("b"), event("a", "t")]
    assert [selection.takes(of) for of in events] == [False, False, True, True, True]
    assert selection.close() == {"b"}


def test_once_closed_it_selects_no_further_record() -> None:
    selection = Selection([], task_key="t")
    assert selection.takes(event("a", "t"))
    assert selection.close() == {"a"}
    assert [selection.takes(event(record_id, "t")) for record_id in ("a", "b")] == [True, False]
    assert selection.close() == set()
