"""The versions that the read port tells are those of what it reads, on a real Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from replog.store.read.filters import NO_FILTER, DetailFilter
from replog.store.read.queries import StoreQueries
from replog.store.read.results import NOTHING
from tests.support.query_service import event, write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from replog.store.client.command import Command
    from replog.store.client.connection import Connection
    from replog.store.read.results import VersionedSteps
    from tests.support.streams import Event

pytestmark = pytest.mark.every_topology

#: More than one step of a list reads.
MANY = 1100


class Pipelines:
    """The store, with a count of pipelines."""

    def __init__(self, connection: Connection) -> None:
        self.prefix = connection.prefix
        self.sent = 0
        self._connection = connection

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        self.sent += 1
        return await self._connection.run(calls)


class Queries:
    """Each query of the port, with the one that reads its version alone."""

    def __init__(self, connection: Connection) -> None:
        self.pipelines = Pipelines(connection)
        port = StoreQueries(self.pipelines)
        self.records, self.tasks = port.records, port.tasks
        narrow = DetailFilter(cluster_name="d")

        async def of_record() -> bytes | None:
            return await self.records.record_version("r")

        self.all: dict[str, tuple[Callable[[], Awaitable[Any]], Callable[[], Awaitable[bytes | None]]]] = {
            "record": (lambda: self.records.record("r"), of_record),
            "overview": (lambda: self.records.overview("r"), of_record),
            "details": (lambda: self.records.detail_page("r", NO_FILTER, 0, 5), of_record),
            "details, filtered": (lambda: self.records.detail_page("r", narrow, 0, 5), of_record),
            "detail list": (lambda: self.records.detail_list("r"), of_record),
            "records": (
                lambda: self.tasks.record_page("t", "", 0, 5),
                lambda: self.tasks.record_page_version("t", "", 0, 5),
            ),
            "record list": (lambda: self.tasks.record_list("t"), lambda: self.tasks.record_list_version("t")),
            "latest": (
                lambda: self.tasks.latest(["t", "unknown"]),
                lambda: self.tasks.latest_version(["t", "unknown"]),
            ),
            "tasks": (lambda: self.tasks.task_page("", "", 0, 5), lambda: self.tasks.task_page_version("", "", 0, 5)),
            "tasks, by prefix": (
                lambda: self.tasks.task_page("t", "", 0, 5),
                lambda: self.tasks.task_page_version("t", "", 0, 5),
            ),
        }


@pytest.fixture
def queries(connection: Connection) -> Queries:
    return Queries(connection)


@pytest.fixture
def stored(redis_url: str, redis_prefix: str) -> Callable[..., Awaitable[None]]:
    """Stores events."""

    async def store(*events: Event) -> None:
        await write(redis_url, redis_prefix, events)

    return store


async def test_the_version_alone_is_that_of_the_data(queries: Queries, stored: Callable[..., Awaitable[None]]) -> None:
    """Before and after each change, by one pipeline; and no change leaves it as it was."""
    await stored(event("record.started"), event("detail.started", remoteCluster="dev"))
    seen: dict[str, set[bytes]] = {name: set() for name in queries.all}
    changes = (
        event("detail.finished", status="SUCCESS", at="2021-05-12T12:00:01Z"),
        event("record.progressed", replicatedBytes=5, at="2021-05-12T12:00:02Z"),
        event("record.finished", status="FAILED", at="2021-05-12T12:00:03Z"),
    )
    for change in (None, *changes):
        if change is not None:
            await stored(change)
        for name, (read, read_version) in queries.all.items():
            found = await read()
            queries.pipelines.sent = 0
            assert await read_version() == found.version, name
            assert queries.pipelines.sent == 1, name
            seen[name].add(found.version)
    assert {name: len(versions) for name, versions in seen.items()} == dict.fromkeys(seen, 1 + len(changes))


async def test_long_lists_are_read_in_steps(queries: Queries, stored: Callable[..., Awaitable[None]]) -> None:
    """Their version is known before the first row is used, and whether time alone may change a row."""
    over = {"status": "SUCCESS", "at": "2021-05-12T12:00:01Z"}
    await stored(event("record.finished", recordId="r0", **over))
    # What is remembered of a list as long as it is short does not hide its version later.
    assert await queries.tasks.record_list("t") is not None
    await stored(
        *(event("detail.finished", detailId=f"d{number}", **over) for number in range(MANY)),
        *(event("record.finished", recordId=f"r{number}", **over) for number in range(MANY)),
    )
    assert await queries.tasks.record_list("t") is None
    lists: list[VersionedSteps[Any]] = [
        await queries.records.detail_list("r"),
        await queries.tasks.long_record_list("t"),
    ]
    versions = [await queries.records.record_version("r"), await queries.tasks.record_list_version("t")]
    assert [found.version for found in lists] == versions
    for found in lists:
        assert not found.may_change
        assert found.others is not None
        rows = [*found.first, *[row async for step in found.others for row in step]]
        assert len(set(rows)) == len(rows) == MANY
    await stored(event("detail.started", detailId="e"), event("record.started", recordId="s"))
    assert (await queries.records.detail_list("r")).may_change
    assert (await queries.tasks.long_record_list("t")).may_change


async def test_what_is_not_there_has_a_version(queries: Queries) -> None:
    assert await queries.records.record("r") is None
    assert await queries.records.overview("r") == (NOTHING, None)
    assert await queries.records.detail_list("r") == (NOTHING, [], None, False)
    assert (await queries.tasks.record_page("t", "", 0, 5)).version == NOTHING
    assert await queries.tasks.record_list("t") == (NOTHING, [])
    assert await queries.tasks.record_list_version("t") == NOTHING
    assert await queries.records.task_keys_of("r") == []


async def test_a_record_is_owned_by_the_tasks_it_was_published_with(
    queries: Queries, stored: Callable[..., Awaitable[None]]
) -> None:
    await stored(event("record.started"), event("record.progressed", taskKey="u", replicatedBytes=1))
    assert sorted(await queries.records.task_keys_of("r")) == ["t", "u"]
