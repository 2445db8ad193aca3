"""All details that a filter admits, in order, on a real Redis, against the oracle: whatever way they are found."""

from __future__ import annotations

from itertools import islice, product
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from replog.store.client.scripts import FOLLOW, WINDOW
from replog.store.read.details.detail_search import SearchLimits
from replog.store.read.details.ordered_details import Bounds, ordered_details
from replog.store.read.filters import NO_FILTER, DetailFilter
from tests.support.model import Model
from tests.support.query_service import merge
from tests.support.streams import awkward_details, shuffled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from replog.store.client.command import Command
    from replog.store.client.connection import Connection
    from tests.support.streams import Event

pytestmark = pytest.mark.every_topology

SEED = 20210512
RECORD = "r"
#: Every way, with as little at once as there can be, and as it is.
BOUNDS = {
    "usual": Bounds(),
    "narrow windows": Bounds(wanted=1, found_a_call=1),
    "windows": Bounds(wanted=7, found_a_call=3),
    "no windows": Bounds(wanted=7, most_heads=0),
    "few names": Bounds(kept=5),
}
FILTERS = [
    NO_FILTER,
    *(DetailFilter(status=status) for status in ("RUNNING", "SUCCESS", "FAILED")),
    DetailFilter(remote_cluster="dev"),
    DetailFilter(remote_cluster="dev", status="FAILED"),
    DetailFilter(cluster_name="dev", repo_name="npm"),
    DetailFilter(remote_cluster="测试", local_repo_name="npm", status="SUCCESS"),
    DetailFilter(cluster_name="nowhere"),
    DetailFilter(package_key="npm://"),
    DetailFilter(package_key="npm://a", status="RUNNING"),
    DetailFilter(package_name="a"),
    DetailFilter(path="a", version="1.0"),
    DetailFilter(package_name="a", artifact_name="a", remote_cluster="Dev"),
    DetailFilter(version="nowhere"),
]
#: As the API names what a filter holds.
NAMES = {
    "status": "status",
    "cluster_name": "clusterName",
    "repo_name": "repoName",
    "package_name": "packageName",
    "package_key": "packageName",
    "path": "path",
    "artifact_name": "artifactName",
    "version": "version",
    "remote_cluster": "remoteCluster",
    "local_repo_name": "localRepoName",
}


class Watched:
    """The store, with the calls that were sent; ``between`` is called before each but the first."""

    def __init__(self, connection: Connection, between: Callable[[], Awaitable[None]] | None = None) -> None:
        self.prefix = connection.prefix
        self.calls: list[Command] = []
        self._connection = connection
        self._between = between

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        if self._between and self.calls:
            await self._between()
        self.calls += calls
        return await self._connection.run(calls)

    def scripts(self) -> set[str]:
        return {call.command if isinstance(call.command, str) else call.command.name for call in self.calls}


async def found(connection: Any, flt: DetailFilter, bounds: Bounds, record_id: str = RECORD) -> list[str]:
    """The ids, in the order in which they come; no step may be empty."""
    ids: list[str] = []
    async for rows in ordered_details(connection, record_id, flt, bounds):
        assert rows
        ids += [row.detail_id.decode() for row in rows]
    return ids


def expected(model: Model, flt: DetailFilter) -> list[str]:
    filters = {NAMES[name]: text for name, text in flt._asdict().items() if text}
    return [row["id"] for row in model.details(RECORD, **filters)]


@pytest.fixture
def events() -> list[Event]:
    """Many details of one record, a third of which start at once."""
    chance = Random(SEED)
    return shuffled(chance, awkward_details(chance, RECORD, 240, at_once=80))


async def test_every_way_finds_all_in_order(connection: Connection, events: list[Event]) -> None:
    """Whatever the filter is."""
    await merge(connection, events)
    model = Model(events)
    taken: set[str] = set()
    for flt, bounds in product(FILTERS, BOUNDS.values()):
        watched = Watched(connection)
        assert await found(watched, flt, bounds) == expected(model, flt), (flt, bounds)
        taken |= watched.scripts()
    assert {FOLLOW.name, WINDOW.name, "ZRANGEBYLEX"} <= taken
    assert sum(bool(expected(model, flt)) for flt in FILTERS) > 10


@pytest.mark.parametrize("flt", FILTERS, ids=str)
async def test_an_unknown_record_has_none(connection: Connection, flt: DetailFilter) -> None:
    assert await found(connection, flt, Bounds(), "nobody") == []


@pytest.mark.parametrize("bounds", BOUNDS.values(), ids=BOUNDS)
async def test_what_does_not_change_is_found_once_while_others_come(connection: Connection, bounds: Bounds) -> None:
    """New ones before, in between and behind, others that are put elsewhere, and statuses that a filter admits too."""
    chance = Random(SEED)
    events = shuffled(chance, awkward_details(chance, RECORD, 80, at_once=20))
    await merge(connection, events)
    model = Model(events)
    running = [row["id"] for row in model.details(RECORD, status="RUNNING")]
    for flt in FILTERS[::2]:
        settled = [row["id"] for row in model.details(RECORD) if row["status"] != "RUNNING"]
        before = expected(model, flt)
        number = 0

        async def change() -> None:
            nonlocal number
            number += 1
            moved = {"recordId": RECORD, "detailId": chance.choice(running), "remoteCluster": "dev", "repoName": "npm"}
            at = f"2021-05-12T12:00:0{chance.randrange(5)}.{chance.randrange(1000):03}Z"
            new = awkward_details(chance, RECORD, 2)
            await merge(
                connection,
                [
                    {"type": "detail.started", "eventTime": at, "attempt": 400 + number, **moved},
                    *({**event, "detailId": f"new-{number}-{event['detailId']}"} for event in new),
                ],
            )

        ids = await found(Watched(connection, change), flt, bounds)
        kept = [detail_id for detail_id in ids if detail_id in settled]
        assert kept == [detail_id for detail_id in before if detail_id in settled], flt


async def test_few_of_many_take_few_calls(connection: Connection) -> None:
    """Their number decides what is read, not that of all: of 5,000 details, the 20 of one cluster."""
    many = [
        {
            "type": "detail.started",
            "recordId": RECORD,
            "detailId": f"d{number:05}",
            "eventTime": f"2021-05-12T12:{number // 100:02}:{number % 60:02}Z",
            "remoteCluster": "rare" if number % 250 == 7 else "usual",
            "packageName": f"p{number:05}",
        }
        for number in range(5000)
    ]
    await merge(connection, many)
    for flt, rows in ((DetailFilter(remote_cluster="rare"), 20), (DetailFilter(package_name="p0001"), 10)):
        watched = Watched(connection)
        assert len(await found(watched, flt, Bounds())) == rows
        assert len(watched.calls) <= 12, watched.scripts()
        assert FOLLOW.name not in watched.scripts()


@pytest.mark.parametrize("status", ["", "RUNNING", "SUCCESS", "FAILED"])
async def test_a_status_alone_is_one_range(connection: Connection, events: list[Event], status: str) -> None:
    """It is read without the pairs: to read the numbers of thousands of them takes longer than the first rows do."""
    await merge(connection, events)
    watched, flt = Watched(connection), DetailFilter(status=status)
    ids = await found(watched, flt, Bounds())
    assert ids == expected(Model(events), flt)
    assert watched.scripts() == {FOLLOW.name}
    assert len(watched.calls) == 1 + len(ids) // 250


@pytest.mark.parametrize("bounds", [Bounds(), Bounds(search=SearchLimits(step=1)), Bounds(search=SearchLimits(step=7))])
async def test_details_that_end_meanwhile_are_found_once(connection: Connection, bounds: Bounds) -> None:
    """A detail whose status changes goes from one range to another, and stays where it is in time."""
    chance = Random(SEED)
    heads = [{"recordId": RECORD, "detailId": f"d{number}"} for number in range(120)]
    started = [
        {**head, "type": "detail.started", "eventTime": f"2021-05-12T12:00:{chance.randrange(40):02}Z"}
        for head in heads
    ]
    await merge(connection, started)
    chance.shuffle(heads)
    left = iter(heads)

    async def end_some() -> None:
        ended = {"type": "detail.finished", "eventTime": "2021-05-13T00:00:00Z"}
        await merge(
            connection, [{**ended, **head, "status": chance.choice(("SUCCESS", "FAILED"))} for head in islice(left, 3)]
        )

    assert await found(Watched(connection, end_some), NO_FILTER, bounds) == expected(Model(started), NO_FILTER)
    # Each step but that of all details ends some more.
    assert (len([*left]) == 120) == (bounds == Bounds())
