"""What publishers publish in a simulation, and what the oracle says that must be answered in the end.

A workload is made once and used by many schedules: which of them a schedule takes, and in which order, batches and
partitions its events come, differs from seed to seed.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from replog.events import encode, parse
from replog.records import Registers
from replog.state import registers_of
from replog.store.format.keys import bucket_of
from tests.support.model import Model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replog.events import Event

#: The time at which a simulation begins, by the clocks of all its processes; the events happened before.
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BEGIN_S = BEGIN.timestamp()
#: How many workloads there are.
WORKLOADS = 8
STALE_AFTER_S = 900
_RECORDS, _DETAILS_A_RECORD, _TASKS = 16, 24, 5
_CLUSTERS = ("paris", "tokyo", "lima")
_INVALID_SHARE, _TWICE_SHARE = 0.004, 0.02


@dataclass(slots=True, eq=False)
class Published:
    """One message as it is published. ``event`` is None where it is none that the contract knows."""

    number: int
    key: bytes
    value: bytes
    event: Event | None = None
    json: dict[str, Any] | None = None
    #: What it offers to the registers of its entity.
    registers: Registers = field(default_factory=Registers)
    record_id: str = ""
    record_key: bytes = b""
    detail_key: bytes | None = None
    task_key: bytes = b""
    #: The buckets that it changes: its record's, and that of its task's list.
    buckets: tuple[int, ...] = ()


@lru_cache(WORKLOADS)
def messages(workload: int, count: int) -> tuple[Published, ...]:
    """The messages of a workload, in the order in which they happened."""
    chance = random.Random(f"workload {workload}")
    values = [*_events(chance, count)]
    made = []
    for number, value in enumerate(values[:count]):
        if chance.random() < _INVALID_SHARE:
            made.append(Published(number, b"garbage", b'{"type": "record.started", "recordId": %d}' % number))
        else:
            made.append(_published(number, value))
    return tuple(made)


@lru_cache(64)
def expected(workload: int, count: int, kept: frozenset[int] | None = None) -> tuple[Model, dict[str, Any]]:
    """The oracle of a workload, or of some of its messages by number; and its answers by record."""
    published = [
        message.json
        for message in messages(workload, count)
        if message.json is not None and (kept is None or message.number in kept)
    ]
    model = Model(published, now=BEGIN, stale_after_s=STALE_AFTER_S)
    return model, {record_id: _answers(model, record_id) for record_id in model.record_ids}


def _answers(model: Model, record_id: str) -> Any:
    run = model.run(record_id) if record_id in model._records else None
    return run, model.overview(record_id), model.details(record_id)


def _published(number: int, value: dict[str, Any]) -> Published:
    event = parse(json.dumps(value).encode())
    record_id, task_key = value["recordId"], value.get("taskKey")
    buckets = {bucket_of(record_id)} | ({bucket_of(task_key)} if task_key else set())
    return Published(
        number,
        record_id.encode(),
        encode(event),
        event=event,
        json=value,
        registers=registers_of(event),
        record_id=record_id,
        record_key=record_id.encode(),
        detail_key=value["detailId"].encode() if "detailId" in value else None,
        task_key=task_key.encode() if task_key else b"",
        buckets=tuple(sorted(buckets)),
    )


def _events(chance: random.Random, count: int) -> Iterable[dict[str, Any]]:
    """Events of some records that run at once: most in their order, some late, twice, or of another attempt."""
    lives = [_record(chance, number) for number in range(_RECORDS)]
    made: list[dict[str, Any]] = []
    while len(made) < count and lives:
        life = chance.choice(lives)
        event = next(life, None)
        if event is None:
            lives.remove(life)
            lives.append(_record(chance, len(made) + _RECORDS))
            continue
        made.append(event)
        if chance.random() < _TWICE_SHARE:
            made.append(event)
    for number in range(0, len(made) - 20, 7):
        late = number + chance.randrange(1, 20)
        if chance.random() < 0.2:
            made[number], made[late] = made[late], made[number]
    return made


def _record(chance: random.Random, number: int) -> Any:
    record = {"recordId": f"run-{number}", "taskKey": f"task-{number % _TASKS}"}
    clock = _clock(chance)
    attempt = 0
    while True:
        facts = {"taskName": f"nightly {number}", "expectedDetails": _DETAILS_A_RECORD}
        yield {"type": "record.started", **record, **facts, "attempt": attempt, "eventTime": next(clock)}
        for detail in range(_DETAILS_A_RECORD):
            yield from _detail(chance, record["recordId"], detail, attempt, clock)
        failed = chance.random() < 0.4
        outcome = {"status": "FAILED", "errorReason": "no route"} if failed else {"status": "SUCCESS"}
        yield {"type": "record.finished", **record, **outcome, "attempt": attempt, "eventTime": next(clock)}
        if not failed:
            return
        attempt += 1


def _detail(chance: random.Random, record_id: str, detail: int, attempt: int, clock: Any) -> Any:
    common = {"recordId": record_id, "detailId": f"{detail:08x}", "attempt": attempt}
    place = {"remoteCluster": chance.choice(_CLUSTERS), "repoName": f"repo-{detail % 4}", "packageName": f"p{detail}"}
    yield {"type": "detail.started", **common, **place, "eventTime": next(clock)}
    for step in range(chance.randrange(1, 4)):
        progress = {"blob": {"total": 9, "success": step, "skip": step // 2}, "totalSize": step * 1000}
        yield {"type": "detail.progressed", **common, "progress": progress, "eventTime": next(clock)}
    if chance.random() < 0.9:
        status = chance.choice(["SUCCESS", "SUCCESS", "FAILED"])
        reason = {"errorReason": "checksum differs"} if status == "FAILED" else {}
        yield {"type": "detail.finished", **common, "status": status, **reason, "eventTime": next(clock)}


def _clock(chance: random.Random) -> Any:
    moment = BEGIN - timedelta(hours=1)
    while True:
        moment += timedelta(microseconds=chance.randrange(1, 2_000_000))
        yield moment.isoformat()
