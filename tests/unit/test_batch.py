from __future__ import annotations

import json
from typing import TYPE_CHECKING

from replog.events import parse
from replog.records import Effect
from replog.store.write.batch import Batch
from replog.store.write.merge_result import effects_of

if TYPE_CHECKING:
    from tests.support.strategies import Event

STARTED: Event = {
    "type": "record.started",
    "recordId": "r",
    "taskKey": "t",
    "eventTime": "2021-05-12T12:00:00Z",
}


def batch_of(*events: Event) -> Batch:
    batch = Batch()
    for event in events:
        batch.add(parse(json.dumps(event).encode()))
    return batch


def test_events_of_one_entity_become_one_write() -> None:
    batch = batch_of(STARTED, {**STARTED, "type": "record.progressed", "eventTime": "2021-05-12T12:00:01Z"})
    assert len(batch) == 2
    assert list(batch.records) == ["r"]
    record = batch.records["r"].record
    assert record is not None
    assert record.event_types == ["record.started", "record.progressed"]


def test_what_changes_nothing_in_its_batch_is_counted_at_once() -> None:
    batch = batch_of(STARTED, STARTED)
    assert batch.absorbed[Effect.DUPLICATE] == {"record.started": 1}


def test_the_stores_answer_counts_for_all_that_made_the_entity() -> None:
    batch = batch_of(STARTED, {**STARTED, "type": "record.progressed", "eventTime": "2021-05-12T12:00:01Z"})
    record = batch.records["r"].record
    assert record is not None
    effects = effects_of(batch, [(record, Effect.SUPERSEDED)])
    assert effects.total() == len(batch)
    assert set(effects) == {
        ("record.started", Effect.SUPERSEDED),
        ("record.progressed", Effect.SUPERSEDED),
    }


def test_a_new_task_key_is_a_change_though_the_registers_stay() -> None:
    older = {**STARTED, "taskKey": "another", "eventTime": "2021-05-12T12:00:01Z"}
    batch = batch_of(STARTED, {**older, "type": "record.progressed", "eventTime": "2021-05-12T11:00:00Z"})
    record = batch.records["r"].record
    assert record is not None
    assert batch.records["r"].task_keys == ["t", "another"]
    assert len(record.event_types) == 2


def test_a_details_task_key_lists_nothing() -> None:
    batch = batch_of({**STARTED, "type": "detail.started", "detailId": "d"})
    assert batch.records["r"].record is None
    assert batch.records["r"].task_keys == []
