"""Searches by name: what is read ahead ends with them, and matches are remembered as long as they are right."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from replog.errors import StoreUnavailable
from replog.statuses import LETTERS
from replog.store.client.command import Command
from replog.store.client.scripts import FOLLOW, PAGE, VALUES
from replog.store.format.keys import RecordKeys
from replog.store.read.filters import DetailFilter
from replog.store.read.reader import READ_LIMITS, Reader
from replog.store.write.writer import Writer
from tests.support.store.batches import batch_of
from tests.support.store.intercepted import Intercepted
from tests.support.store.limits import read_limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from replog.store.client.connection import Connection
    from replog.store.client.scripts import Script

    Event = dict[str, Any]

DETAILS = 60
#: Details of a record that changes.
MOST = 160
#: Half of the details have such a path, a third of these the version, too.
BOTH = DetailFilter(path="a", version="1")
#: Every search by name is costly, and reads its entries in several steps; none is a scan.
LIMITS = read_limits(
    {
        "search.names.remembered_cost": 0,
        "search.names.entries_a_call": 2,
        "search.names.entries_at_once": 4,
        "search.narrow": 1000,
        "search.costs.value": 1000,
        "search.costs.asking": 1000,
    }
)


def detail(number: int, record_id: str = "r", **facts: str) -> Event:
    named = {"path": f"{'ab'[number % 2]}/{number}", "version": str(1 + number % 3)}
    time = f"2021-05-12T12:00:{number:02}Z"
    head = {"type": "detail.started", "recordId": record_id, "detailId": f"d{number:02}", "eventTime": time}
    return {**head, **named, **facts}


def ids_of(numbers: Sequence[int]) -> list[bytes]:
    return [b"d%02d" % number for number in reversed(numbers)]


BOTH_IDS = ids_of(range(0, DETAILS, 6))


class Trips:
    """A ``CommandRunner`` that counts its runs and their commands."""

    def __init__(self, connection: Connection) -> None:
        self.prefix = connection.prefix
        self.taken = 0
        self.commands: Counter[object] = Counter()
        self._connection = connection

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        self.taken += 1
        self.commands.update(call.command for call in calls)
        return await self._connection.run(calls)


@pytest.fixture
async def record(connection: Connection) -> Connection:
    """A record of :data:`DETAILS`, written at second 1."""
    await Writer(connection, clock=lambda: 1).merge(batch_of([detail(number) for number in range(DETAILS)]))
    return connection


async def page(reader: Reader, flt: DetailFilter = BOTH, offset: int = 0, limit: int = 100) -> tuple[int, list[bytes]]:
    found = await reader.detail_page("r", flt, offset, limit)
    assert found is not None
    return found.total, [row.detail_id for row in found.rows]


async def test_the_next_page_takes_one_trip(record: Connection) -> None:
    trips = Trips(record)
    reader = Reader(trips, LIMITS)
    assert await page(reader, offset=0, limit=3) == (10, BOTH_IDS[:3])
    trips.taken = 0
    for offset, limit in ((3, 3), (0, 3), (8, 5), (100, 5), (0, 100)):
        assert await page(reader, offset=offset, limit=limit) == (10, BOTH_IDS[offset : offset + limit])
    assert trips.taken == 5
    assert trips.commands["ZRANGEBYLEX"] > 1


@pytest.mark.parametrize(
    ("flt", "total", "taken"),
    [
        pytest.param(DetailFilter(path="a/1"), 5, 2, id="few"),
        pytest.param(DetailFilter(path="a"), 30, 3, id="some"),
        pytest.param(DetailFilter(path="a/1", version="1"), 2, 3, id="few that are asked for"),
        pytest.param(DetailFilter(path="c"), 0, 2, id="none"),
    ],
)
async def test_few_matches_take_few_trips(record: Connection, flt: DetailFilter, total: int, taken: int) -> None:
    """The first counts them and reads some; the last reads the rows."""
    trips = Trips(record)
    assert (await page(Reader(trips, READ_LIMITS), flt))[0] == total
    assert trips.taken == taken


#: A page of two of half of all details is met in order of time; pairs are counted, and not read where all count.
IN_ORDER = read_limits({"search.narrow": 1, "search.facets.few_fields": 0})


@pytest.mark.parametrize(
    ("flt", "script"),
    [
        pytest.param(DetailFilter(path="a"), FOLLOW, id="scan"),
        pytest.param(DetailFilter(cluster_name="c"), PAGE, id="all"),
    ],
)
class TestPagesInOrderOfTime:
    """They come with their rows."""

    @pytest.fixture
    async def record(self, connection: Connection) -> Connection:
        await Writer(connection).merge(batch_of([detail(number, remoteCluster="c") for number in range(DETAILS)]))
        return connection

    async def test_they_take_two_trips(self, record: Connection, flt: DetailFilter, script: Script) -> None:
        expected = ids_of(range(0, DETAILS, 2 if flt.path else 1))
        for offset in (0, 1):
            trips = Trips(record)
            found = await page(Reader(trips, IN_ORDER), flt, offset, 2 - offset)
            assert found == (len(expected), expected[offset:2])
            assert (trips.taken, trips.commands[script], trips.commands[VALUES]) == (2, 1, 0)

    async def test_what_changes_before_they_are_read_is_seen(
        self, record: Connection, flt: DetailFilter, script: Script
    ) -> None:
        """The numbers that were counted before hold no more."""
        added = iter([{**detail(60, remoteCluster="c"), "eventTime": "2021-05-12T12:01:00Z"}])

        async def change() -> None:
            for event in added:
                await Writer(record).merge(batch_of([event]))

        expected = [b"d60", *ids_of(range(0, DETAILS, 2 if flt.path else 1))]
        reader = Reader(Intercepted(record, script, before=change), IN_ORDER)
        assert await page(reader, flt, 0, 2) == (len(expected), expected[:2])

    async def test_a_record_that_changes_all_the_time_has_a_page_all_the_same(
        self, record: Connection, flt: DetailFilter, script: Script
    ) -> None:
        new = count(DETAILS)

        async def change() -> None:
            # The oldest of all.
            await Writer(record).merge(batch_of([detail(0, detailId=f"n{next(new)}", path="b", remoteCluster="c")]))

        expected = ids_of(range(0, DETAILS, 2 if flt.path else 1))
        _, ids = await page(Reader(Intercepted(record, script, before=change), IN_ORDER), flt, 0, 2)
        assert ids == expected[:2]


@pytest.mark.parametrize("flt", [DetailFilter(path="a"), DetailFilter(path="a", version="1")], ids=["alone", "joined"])
async def test_of_too_many_those_around_the_page_are_remembered(record: Connection, flt: DetailFilter) -> None:
    trips = Trips(record)
    limits = {"search.names.kept": 5, "search.names.newest": 0, "search.names.margin": 0, "search.names.sampled": 1}
    reader = Reader(trips, read_limits(limits, LIMITS))
    everything = BOTH_IDS if flt.version else ids_of(range(0, DETAILS, 2))
    in_one_trip = 0
    for offset in range(len(everything) - 1):
        trips.taken = 0
        assert await page(reader, flt, offset, 1) == (len(everything), everything[offset : offset + 1])
        in_one_trip += trips.taken == 1
    assert 0 < in_one_trip < len(everything) - 1


async def test_each_filter_has_matches_of_its_own(record: Connection) -> None:
    reader = Reader(record, LIMITS)
    for _ in range(2):
        assert await page(reader) == (10, BOTH_IDS)
        assert await page(reader, DetailFilter(path="b", version="1")) == (10, ids_of(range(3, DETAILS, 6)))
        assert await page(reader, BOTH._replace(status="SUCCESS")) == (0, [])
        assert await reader.detail_page("unknown", BOTH, 0, 5) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(detail(60), [b"d60", *BOTH_IDS], id="one more"),
        pytest.param({**detail(6), "type": "detail.finished", "status": "SUCCESS"}, BOTH_IDS, id="another status"),
        pytest.param(detail(1), BOTH_IDS, id="nothing new"),
        pytest.param(
            {"type": "record.started", "recordId": "r", "taskKey": "t", "eventTime": "2021-05-12T12:00:00Z"},
            BOTH_IDS,
            id="the record",
        ),
    ],
)
async def test_a_change_is_seen_at_once(record: Connection, change: Event, expected: list[bytes]) -> None:
    reader = Reader(record, LIMITS)
    assert await page(reader) == (10, BOTH_IDS)
    if change.get("detailId") == "d60":
        change = {**change, "eventTime": "2021-05-12T12:01:00Z"}
    await Writer(record).merge(batch_of([change]))
    for _ in range(2):
        assert await page(reader) == (len(expected), expected)
    running = DetailFilter(path="a", version="1", status="RUNNING")
    left = [each for each in expected if change.get("status") is None or each != b"d06"]
    assert await page(reader, running) == (len(left), left)


async def test_a_record_that_came_back_with_as_many_changes_is_another(record: Connection) -> None:
    reader = Reader(record, LIMITS)
    assert await page(reader) == (10, BOTH_IDS)
    keys = RecordKeys(record.prefix, "r")
    before = await record.run([Command("HGET", [keys.record], ["v"])])
    await record.run([Command("UNLINK", keys.all)])
    assert await reader.detail_page("r", BOTH, 0, 5) is None
    events = [detail(number, path=f"a/{number}") for number in range(DETAILS)]
    await Writer(record, clock=lambda: 2).merge(batch_of(events))
    assert await record.run([Command("HGET", [keys.record], ["v"])]) == before
    assert await page(reader) == (20, ids_of(range(0, DETAILS, 3)))


async def test_a_change_during_the_search_is_not_remembered_as_never_made(record: Connection) -> None:
    late = iter([batch_of([{**detail(60), "eventTime": "2021-05-12T12:01:00Z"}])])

    async def change() -> None:
        for batch in late:
            await Writer(record).merge(batch)

    reader = Reader(Intercepted(record, "ZRANGEBYLEX", after=change), LIMITS)
    for _ in range(2):
        assert await page(reader) == (11, [b"d60", *BOTH_IDS])


@pytest.mark.parametrize(
    ("flt", "numbers"),
    [
        pytest.param(DetailFilter(path="b"), range(1, DETAILS, 2), id="alone"),
        pytest.param(DetailFilter(path="b", version="1"), range(3, DETAILS, 6), id="joined"),
        pytest.param(DetailFilter(path="b", cluster_name="c2"), range(5, DETAILS, 6), id="by pair"),
    ],
)
@pytest.mark.parametrize("kept", [1000, 5])
async def test_what_does_not_change_is_found_once_in_a_record_that_does(
    connection: Connection, flt: DetailFilter, numbers: range, kept: int
) -> None:
    """With every read of the index, its ranks are others than those that were counted."""
    writer, new = Writer(connection), count(DETAILS)
    events = [detail(number, remoteCluster=f"c{1 + number % 3 // 2}") for number in range(DETAILS)]
    await writer.merge(batch_of(events))

    async def change() -> None:
        # It stands before those that match.
        number = next(new)
        added = detail(0, detailId=f"n{number}", path="a/", version=str(number % 3), remoteCluster="c1")
        await writer.merge(batch_of([added] if number < MOST else []))

    changing = Intercepted(connection, "ZRANGE", "ZRANGEBYLEX", before=change)
    limits = read_limits({"search.names.kept": kept, "search.names.newest": 0, "search.costs.head": 0.001}, LIMITS)
    reader, expected = Reader(changing, limits), ids_of(numbers)
    for offset in range(0, len(expected), 3):
        assert await page(reader, flt, offset, 3) == (len(expected), expected[offset : offset + 3])
    assert next(new) > DETAILS + 10


async def test_a_costly_page_of_a_record_that_changes_all_the_time_is_read_twice(record: Connection) -> None:
    writer, new, trips = Writer(record), count(DETAILS), Trips(record)

    async def change() -> None:
        await writer.merge(batch_of([detail(0, detailId=f"n{next(new)}", path="b")]))

    for costs, attempts in ((0, 2), (1000, 5)):
        trips.commands.clear()
        limits = read_limits({"search.names.remembered_cost": costs}, LIMITS)
        reader = Reader(Intercepted(trips, "ZRANGEBYLEX", after=change), limits)
        assert await page(reader) == (10, BOTH_IDS)
        assert trips.commands["ZLEXCOUNT"] == attempts * 2 * 2 * len(LETTERS)


@pytest.mark.parametrize(("remembered", "is_searched"), [(30, False), (29, True), (0, True)])
async def test_what_is_remembered_is_bounded(record: Connection, remembered: int, *, is_searched: bool) -> None:
    trips = Trips(record)
    reader = Reader(trips, read_limits({"remembered": remembered}, LIMITS))
    await page(reader)
    trips.taken = 0
    assert await page(reader) == (10, BOTH_IDS)
    assert (trips.taken > 1) == is_searched


async def test_that_nothing_meets_a_filter_is_remembered(record: Connection) -> None:
    """Each of its conditions is met by some."""
    trips = Trips(record)
    reader, flt = Reader(trips, LIMITS), DetailFilter(path="b/13", version="1")
    assert await page(reader, flt) == (0, [])
    trips.taken = 0
    assert await page(reader, flt) == (0, [])
    assert trips.taken == 1


async def test_a_search_that_is_cheap_is_not_remembered(record: Connection) -> None:
    trips = Trips(record)
    reader = Reader(trips, read_limits({"search.names.remembered_cost": 10_000}, LIMITS))
    await page(reader)
    trips.taken = 0
    await page(reader)
    assert trips.taken > 1


def read_ahead() -> list[str]:
    """The names of the tasks that read entries."""
    return [task.get_name() for task in asyncio.all_tasks() if "entries" in task.get_name()]


def step_at(number: int, step: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """A step that is taken at the time of so many, and all later ones."""
    steps = iter(range(number))

    async def taken() -> None:
        if next(steps, None) is None:
            await step()

    return taken


async def fail() -> None:
    raise StoreUnavailable("timeout", "no answer")


@pytest.mark.parametrize(
    ("limits", "command"),
    [
        pytest.param({}, "ZRANGEBYLEX", id="joined"),
        pytest.param({"search.costs.asking": 0.001}, "ZMSCORE", id="asked"),
        pytest.param({"search.costs.value": 0.001}, VALUES, id="checked"),
    ],
)
async def test_a_search_that_fails_leaves_nothing_running(
    record: Connection, limits: dict[str, float], command: str | Script
) -> None:
    trips = Trips(record)
    await page(Reader(trips, read_limits(limits, LIMITS)))
    assert trips.commands[command] > 1
    for reads in range(trips.taken):
        failing = Intercepted(record, before=step_at(reads, fail))
        with pytest.raises(StoreUnavailable):
            await page(Reader(failing, read_limits(limits, LIMITS)))
        assert read_ahead() == []


@pytest.mark.parametrize("reads", range(1, 5))
async def test_a_search_that_is_cancelled_leaves_nothing_running(record: Connection, reads: int) -> None:
    hanging, forever = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        hanging.set()
        await forever.wait()

    reader = Reader(Intercepted(record, "ZRANGEBYLEX", before=step_at(reads, hang)), LIMITS)
    search = asyncio.create_task(page(reader))
    await hanging.wait()
    assert read_ahead()
    search.cancel()
    with pytest.raises(asyncio.CancelledError):
        await search
    assert read_ahead() == []
