"""The history of a record that was erased: what each event did, and what is left."""

from __future__ import annotations

import json
from typing import Any

from replog_repair.history.folding import RecordFold
from tests.support.fakes import FakeMessage


def entries(*events: dict[str, Any]) -> list[tuple[str, str, set[str]]]:
    """Type, effect and names of what changed, of each event in turn."""
    fold = RecordFold(0)
    found = []
    for offset, event in enumerate(events):
        entry = fold.add(FakeMessage(json.dumps({"recordId": "r", **event}).encode(), offset=offset))
        found.append((str(entry.type), entry.effect, {*entry.changes}))
    return found


def at(second: int) -> str:
    return f"2021-05-12T12:00:0{second}Z"


def test_an_erasure_leaves_what_is_later() -> None:
    """Also what an earlier event of a higher attempt had superseded."""
    started = {"type": "detail.started", "detailId": "d"}
    found = entries(
        {**started, "attempt": 1, "eventTime": at(1)},
        {**started, "eventTime": at(5)},
        {"type": "record.erased", "eventTime": at(3)},
        {"type": "record.erased", "eventTime": at(3)},
        {"type": "record.erased", "eventTime": at(2)},
        {**started, "attempt": 1, "eventTime": at(1)},
        {**started, "eventTime": at(5)},
    )
    assert [(kind, effect) for kind, effect, _ in found] == [
        ("detail.started", "applied"),
        ("detail.started", "applied"),
        ("record.erased", "applied"),
        ("record.erased", "duplicate"),
        ("record.erased", "superseded"),
        ("detail.started", "superseded"),
        ("detail.started", "duplicate"),
    ]
    assert [changed for _, _, changed in found[2:]] == [{"erasedUntil"}, set(), set(), set(), set()]
