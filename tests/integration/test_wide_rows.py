"""Rows as large as the contract lets them be, and larger ones of before: every read is whole, and no call is dear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from replog.events import DetailFinished, DetailStarted, RecordFinished, RecordStarted
from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from replog.store.maintain.staleness import Pace, Staleness
from replog.store.read.bounded_reads import BYTES_A_CALL
from replog.store.read.details.failure_reasons import failure_reasons
from replog.store.read.details.ordered_details import Bounds, ordered_details
from replog.store.read.filters import NO_FILTER, DetailFilter
from replog.store.read.reader import Reader
from replog.store.read.tasks.task_pages import Tasks
from replog.store.read.tasks.task_runs import task_runs
from replog.store.write.batch import Batch
from replog.store.write.writer import Writer
from replog.times import TimeUs
from tests.support.store.limits import read_limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from replog.events import DetailEvent, RecordEvent
    from replog.store.client.command import Command

#: The largest valid row: facts of 64 KiB, a reason of which each character takes six bytes.
FACTS, REASON = {"versions": ["x" * 1024] * 61}, "\x01" * 8192
#: A reason of before there was a limit.
HUGE = "y" * 900_000
#: Values that are read before the first of them is seen to be wide.
AT_ONCE = 20
LARGEST = 120_000


class Measured:
    """The store, with the size of the largest reply."""

    def __init__(self, connection: Connection) -> None:
        self.prefix = connection.prefix
        self.largest = 0
        self._connection = connection

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        replies = await self._connection.run(calls)
        self.largest = max([self.largest, *map(size, replies)])
        return replies


def size(reply: Any) -> int:
    if isinstance(reply, list):
        return sum(map(size, reply))
    return len(reply) if isinstance(reply, bytes) else 0


@pytest.fixture
async def connection(redis_url: str, redis_prefix: str) -> AsyncIterator[Connection]:
    async with Connection(StoreSettings(redis_url=redis_url, redis_prefix=redis_prefix), timeout_s=10) as connection:
        yield connection


async def write(connection: Connection, events: Sequence[RecordEvent | DetailEvent]) -> None:
    """Structs as they are: those of before the limits, too."""
    for i in range(0, len(events), 20):
        batch = Batch()
        for event in events[i : i + 20]:
            batch.add(event)
        await Writer(connection).merge(batch)


def details(record_id: str, reasons: Sequence[str | None], **facts: Any) -> list[DetailEvent]:
    """Details that FAILED for these reasons, or run; the newest first."""
    found: list[DetailEvent] = []
    for i, reason in enumerate(reversed(reasons)):
        head: dict[str, Any] = {"record_id": record_id, "detail_id": f"d{i:03}", "event_us": TimeUs(i * 1_000_000)}
        place: dict[str, Any] = {"package_name": "p", "version": "1", "remote_cluster": "c", "repo_name": f"r{i % 2}"}
        if reason is None:
            found.append(DetailStarted(**head, **place, **facts))
        else:
            found.append(DetailFinished(**head, **place, **facts, status="FAILED", error_reason=reason))
    return found[::-1]


def page(flt: DetailFilter) -> Any:
    async def read(connection: Any) -> list[tuple[str, str | None]]:
        found = await Reader(connection).detail_page("r", flt, 0, 1000)
        assert found is not None
        assert found.total == len(found.rows)
        return [(row.detail_id.decode(), row.read().error_reason) for row in found.rows]

    return read


async def listed(connection: Any) -> list[tuple[str, str | None]]:
    return [
        (row.detail_id.decode(), row.read().error_reason)
        async for step in Reader(connection).details("r")
        for row in step
    ]


def exported(flt: DetailFilter) -> Any:
    async def read(connection: Any) -> list[tuple[str, str | None]]:
        return [
            (row.detail_id.decode(), row.read().error_reason)
            async for step in ordered_details(connection, "r", flt, Bounds(wanted=10))
            for row in step
        ]

    return read


READS = {
    "export": exported(NO_FILTER),
    "export by pair": exported(DetailFilter(cluster_name="c", repo_name="r")),
    "export by name": exported(DetailFilter(package_name="p", version="1")),
    "page": page(NO_FILTER),
    "by rank": page(DetailFilter(cluster_name="c")),
    "by name": page(DetailFilter(package_name="p")),
    "by name and more": page(DetailFilter(package_name="p", version="1")),
    "scan": page(DetailFilter(version="1")),
    "list": listed,
}


@pytest.mark.parametrize(
    ("reasons", "facts", "most"),
    [
        pytest.param([REASON] * 100, FACTS, BYTES_A_CALL + LARGEST, id="largest"),
        pytest.param(
            (["a"] * 30 + [REASON] * 3) * 6, {}, BYTES_A_CALL + AT_ONCE * LARGEST, id="largest among small ones"
        ),
        pytest.param([HUGE] * 24, {}, BYTES_A_CALL, id="huge"),
        pytest.param(["a", HUGE] * 12, {}, AT_ONCE // 2 * len(HUGE) + BYTES_A_CALL, id="huge among small ones"),
        pytest.param([HUGE + HUGE], {}, 2 * len(HUGE) + 4096, id="huge and alone"),
    ],
)
async def test_details_are_read_whole_in_calls_of_bounded_size(
    connection: Connection, reasons: list[str], facts: dict[str, Any], most: int
) -> None:
    events = details("r", reasons, **facts)
    await write(connection, events)
    expected = [(event.detail_id, reason) for event, reason in zip(events, reasons, strict=True)]
    for name, read in READS.items():
        measured = Measured(connection)
        assert await read(measured) == expected, name
        assert measured.largest <= most, name


async def test_reasons_are_read_in_calls_of_bounded_size(connection: Connection) -> None:
    await write(connection, details("r", [REASON] * 60, **FACTS))
    found = (await failure_reasons(measured := Measured(connection), "r")).data
    assert [(reason.reason, reason.failed) for reason in found.reasons] == [(REASON, 60)]
    assert measured.largest <= BYTES_A_CALL + LARGEST


async def test_pages_by_rank_walk_over_wide_details(connection: Connection) -> None:
    """Where one has to count first and then to read on in order of time, heads are told by the values."""
    limits = read_limits({"search.rank.deviations": 0, "search.rank.near": 0})
    events = details("r", [REASON] * 40, **FACTS)
    await write(connection, events)
    measured = Measured(connection)
    found = await Reader(measured, limits).detail_page("r", DetailFilter(repo_name="r1"), 5, 10)
    assert found is not None
    matches = [event.detail_id for event in events if event.repo_name == "r1"]
    assert [row.detail_id.decode() for row in found.rows] == matches[5:15]
    assert measured.largest <= BYTES_A_CALL + LARGEST


async def test_stale_details_are_counted_in_calls_of_bounded_size(connection: Connection) -> None:
    await write(connection, details("r", [None] * 100, **FACTS))
    measured = Measured(connection)
    assert await Staleness(measured, stale_after_s=1, clock=lambda: 10**6, pace=Pace(rests=0)).details() == 100
    assert measured.largest <= BYTES_A_CALL + LARGEST


@pytest.mark.parametrize("path", ["é" * 4000, "\x01" * 4000])
async def test_entries_of_long_names_are_read_in_calls_of_bounded_size(connection: Connection, path: str) -> None:
    events = [
        DetailStarted(record_id="r", detail_id=f"d{i:04}", event_us=TimeUs(i * 1000), path=f"{path}{i % 7}")
        for i in range(600)
    ]
    await write(connection, events)
    measured = Measured(connection)
    found = await Reader(measured).detail_page("r", DetailFilter(path=path[:10]), 0, 5)
    assert found is not None
    assert found.total == 600
    assert [row.detail_id for row in found.rows] == [b"d0599", b"d0598", b"d0597", b"d0596", b"d0595"]
    assert measured.largest <= BYTES_A_CALL + 128


@pytest.mark.parametrize(
    ("reasons", "most"),
    [
        pytest.param([REASON] * 150, BYTES_A_CALL * 2, id="largest"),
        pytest.param([HUGE] * 30, 25 * len(HUGE), id="huge"),
    ],
)
async def test_records_are_read_whole_in_pipelines_of_bounded_size(
    connection: Connection, reasons: list[str], most: int
) -> None:
    """Each is a call of its own; the first few are read together before it is known how large they are."""
    events: list[RecordEvent] = [
        RecordFinished(
            record_id=f"r{i:03}",
            task_key="t",
            event_us=TimeUs(i * 1_000_000),
            status="FAILED",
            error_reason=reason,
        )
        for i, reason in enumerate(reasons)
    ]
    await write(connection, events)
    expected = [event.record_id for event in events[::-1]]

    class Pipelined(Measured):
        async def run(self, calls: Sequence[Command]) -> list[Any]:
            replies = await super().run(calls)
            pipelines.append(sum(map(size, replies)))
            return replies

    pipelines: list[int] = []
    reader = Reader(Pipelined(connection))
    found = await reader.record_page("t", "FAILED", 0, 1000)
    assert found is not None
    assert [row.record_id for row in found.rows] == expected
    assert all(row.read().error_reason == reasons[0] for row in found.rows)
    assert [row.record_id async for step in reader.records("t") for row in step] == expected
    assert max(pipelines) <= most
    assert sum(pipelines) > most
    runs, _ = await task_runs(measured := Measured(connection), ["t"], 1000)
    assert [run.id for run in runs.data[0].runs] == expected
    assert measured.largest <= BYTES_A_CALL + 20 * max(LARGEST, len(reasons[0]))


async def test_the_latest_records_of_tasks_are_read_in_pipelines_of_bounded_size(connection: Connection) -> None:
    keys = [f"t{i:03}" for i in range(150)]
    await write(
        connection,
        [
            RecordFinished(record_id=key, task_key=key, event_us=TimeUs(0), status="FAILED", error_reason=REASON)
            for key in keys
        ],
    )
    await write(connection, [RecordStarted(record_id="last", task_key="u", event_us=TimeUs(0))])
    for rows in (
        (await Tasks(Measured(connection)).latest(keys)).rows,
        (await Tasks(Measured(connection)).page("t", "", 0, 1000)).rows,
    ):
        assert {row.key for row in rows} == {*keys}
        assert all(row.record and row.record.read().error_reason == REASON for row in rows)
