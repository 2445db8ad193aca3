"""What is stale is counted, by one of the collectors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.support.services.process import wait_until
from tests.support.system import API, COLLECTOR, READABLE_TIMEOUT_S, RECORDS, message, system_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.services.kafka import Broker
    from tests.support.streams import Event
    from tests.support.system import Process, System

STARTED = {"recordId": "r", "taskKey": "t", "eventTime": "2021-05-12T12:00:00Z"}


@pytest.fixture
def system(kafka: Broker, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of one test, nothing started."""
    with system_on(kafka, redis_url, tmp_path_factory.mktemp("system")) as made:
        yield made


def told(collectors: Sequence[Process]) -> list[tuple[float, float]]:
    """How many records and details are stale, of each collector that says so."""
    found = [[collector.metrics(f"replog_stale_{kind}") for kind in ("records", "details")] for collector in collectors]
    return [(records[""], details[""]) for records, details in found if records and details]


def publish(system: System, *events: Event) -> None:
    system.publish([message(event) for event in events])


def test_what_never_ended_is_counted_by_one_collector_until_it_is_heard_of(kafka: Broker, system: System) -> None:
    details = [{**STARTED, "type": "detail.started", "detailId": f"d{number}"} for number in range(3)]
    publish(system, {**STARTED, "type": "record.started"}, *details)
    # The embedded broker has room for one.
    count = 1 if kafka.kind == "embedded" else 2
    collectors = [system.started(COLLECTOR) for _ in range(count)]
    assert wait_until(lambda: told(collectors) == [(1, 3)], READABLE_TIMEOUT_S), told(collectors)
    api = system.started(API)
    assert api.get(f"{RECORDS}/r").json()["data"]["record"]["stale"]

    now = {"eventTime": datetime.now(UTC).isoformat()}
    publish(
        system,
        {**STARTED, **now, "type": "record.progressed"},
        {**details[0], **now, "type": "detail.progressed", "progress": {}},
        {**details[1], **now, "type": "detail.finished", "status": "FAILED"},
    )
    assert wait_until(lambda: told(collectors) == [(0, 1)], READABLE_TIMEOUT_S), told(collectors)
