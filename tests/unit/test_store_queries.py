"""The read port sends a version's command before what it is the version of, in the same pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from replog.store.format.keys import record_key, task_keys
from replog.store.format.rows import RECORD_FIELDS
from replog.store.read.filters import NO_FILTER
from replog.store.read.queries import StoreQueries
from replog.store.read.results import NOTHING, Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.command import Command

PREFIX = "p"
VERSION_FIELDS = ("v", "w", "nR")


def name_of(call: Command) -> str:
    """The name of a command or script."""
    return call.command if isinstance(call.command, str) else call.command.name


class Hashes:
    """A store of records' hashes and one task's list; notes the commands of each pipeline."""

    prefix = PREFIX

    def __init__(self) -> None:
        self.pipelines: list[list[Command]] = []
        self.records: dict[bytes, dict[str, bytes]] = {}
        #: Counter of the list of every task, and the ids on each page of it.
        self.counter: bytes | None = None
        self.ids: list[bytes] = []

    def set_record(self, record_id: str, version: int) -> None:
        """A record, or its next version."""
        fields = {"start": b"s", "v": b"%d" % version, "w": b"%d" % (1000 + version)}
        self.records[record_key(PREFIX, record_id)] = fields
        self.counter, self.ids = self.counter or b"1", sorted({*self.ids, record_id.encode()})

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        self.pipelines.append(list(calls))
        return [self._reply(call) for call in calls]

    @property
    def sent(self) -> list[list[str]]:
        """Names of the commands and scripts of each pipeline."""
        return [list(map(name_of, pipeline)) for pipeline in self.pipelines]

    def _reply(self, call: Command) -> Any:
        match name_of(call):
            case "HMGET":
                fields = self.records.get(call.keys[0], {})
                return [fields.get(field) for field in call.arguments]
            case "HGET" if call.keys == [task_keys(PREFIX, "t")[0]]:
                return self.counter
            case "task_page":
                return [int(bool(self.ids)), len(self.ids), self.ids]
            case "page":
                return [self.records.get(call.keys[0], {}).get("v"), 0, [], []]
        raise AssertionError(call)


@pytest.fixture
def store() -> Hashes:
    return Hashes()


async def test_a_record_is_read_with_its_version_by_one_command(store: Hashes) -> None:
    store.set_record("r", 1)
    queries = StoreQueries(store).records
    record = await queries.record("r")
    assert record is not None
    assert store.sent == [["HMGET"]]
    assert store.pipelines[0][0].arguments == RECORD_FIELDS
    assert record.version == await queries.record_version("r") == b"1.1001"
    store.set_record("r", 2)
    newer = await queries.record("r")
    assert newer != record


async def test_what_is_unknown_is_told_from_what_is_known(store: Hashes) -> None:
    queries = StoreQueries(store)
    assert await queries.records.record("r") is None
    assert await queries.records.detail_page("r", NO_FILTER, 0, 10) is None
    assert await queries.records.overview("r") == (NOTHING, None)
    assert await queries.records.record_version("r") == NOTHING
    assert await queries.tasks.record_page("t", "", 0, 10) == (NOTHING, Page(0, []))
    assert await queries.tasks.record_page_version("t", "", 0, 10) == NOTHING


async def test_the_version_of_a_page_goes_ahead_of_the_page(store: Hashes) -> None:
    store.set_record("r", 7)
    page = await StoreQueries(store).records.detail_page("r", NO_FILTER, 0, 10)
    assert page == (b"7.1007", Page(0, []))
    assert store.sent == [["HMGET", "page"]]
    assert store.pipelines[0][0].arguments == VERSION_FIELDS


async def test_a_record_that_came_in_between_has_a_version_of_its_own(store: Hashes) -> None:
    """Its page is newer than its version: nobody may take it for the page of a version to come."""

    class Late(Hashes):
        async def run(self, calls: Sequence[Command]) -> list[Any]:
            replies = await super().run(calls[:1])
            self.set_record("r", 1)
            return replies + await super().run(calls[1:])

    versions = set()
    for _ in range(2):
        late = Late()
        page = await StoreQueries(late).records.detail_page("r", NO_FILTER, 0, 10)
        assert page is not None
        versions.add(page.version)
    assert len(versions) == 2
    assert not versions & {NOTHING, b"1.1001"}


async def test_the_version_of_a_page_that_was_read_is_one_small_read(store: Hashes) -> None:
    """By the counter of the list and the versions of the page's records, whatever other page there is."""
    store.set_record("r", 1)
    store.set_record("s", 1)
    tasks = StoreQueries(store).tasks
    page = await tasks.record_page("t", "", 0, 10)
    assert store.sent == [["HGET", "task_page"], ["HMGET", "HMGET"]]
    store.pipelines.clear()
    assert await tasks.record_page_version("t", "", 0, 10) == page.version
    assert store.sent == [["HGET", "HMGET", "HMGET"]]
    store.set_record("s", 2)
    assert await tasks.record_page_version("t", "", 0, 10) not in {page.version, None}


@pytest.mark.parametrize("other", [("RUNNING", 0, 10), ("", 1, 10), ("", 0, 9)])
async def test_the_version_of_a_page_that_was_not_read_is_not_known(store: Hashes, other: tuple[str, int, int]) -> None:
    store.set_record("r", 1)
    tasks = StoreQueries(store).tasks
    await tasks.record_page("t", "", 0, 10)
    assert await tasks.record_page_version("t", *other) is None


async def test_a_list_that_has_changed_has_to_be_read_again(store: Hashes) -> None:
    store.set_record("r", 1)
    tasks = StoreQueries(store).tasks
    before = await tasks.record_page("t", "", 0, 10)
    store.counter = b"2"
    assert await tasks.record_page_version("t", "", 0, 10) is None
    assert (await tasks.record_page("t", "", 0, 10)).version != before.version
    assert await tasks.record_page_version("t", "", 0, 10) is not None


async def test_a_record_that_is_gone_is_not_on_the_page(store: Hashes) -> None:
    """Its list may say so a moment later; the version is the same as soon as it was read once."""
    store.set_record("r", 1)
    store.ids.append(b"gone")
    tasks = StoreQueries(store).tasks
    page = await tasks.record_page("t", "", 0, 10)
    assert [record.record_id for record in page.data.rows] == ["r"]
    assert await tasks.record_page_version("t", "", 0, 10) == page.version
    store.set_record("gone", 1)
    assert await tasks.record_page_version("t", "", 0, 10) != page.version


async def test_an_empty_page_is_not_remembered(store: Hashes) -> None:
    """A list that was emptied and filled again may have the same counter."""
    store.set_record("r", 1)
    tasks = StoreQueries(store).tasks
    await tasks.record_page("t", "", 0, 10)
    store.ids.clear()
    store.counter = b"2"
    await tasks.record_page("t", "", 0, 10)
    assert await tasks.record_page_version("t", "", 0, 10) is None


async def test_pages_that_were_read_long_ago_are_forgotten(store: Hashes) -> None:
    store.set_record("r", 1)
    tasks = StoreQueries(store, remembered=2).tasks
    pages = [("", offset, 10) for offset in range(3)]
    for page in pages:
        await tasks.record_page("t", *page)
    assert [await tasks.record_page_version("t", *page) is not None for page in pages] == [False, True, True]
