"""Every combination of filters answers exactly what the oracle finds, whichever way the store searches."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from replog.store.read.details import detail_search
from replog.store.read.details.detail_search import SearchLimits
from replog.store.read.queries import StoreQueries
from replog_api.admission.limits import Limits
from tests.support import streams
from tests.support.model import Model
from tests.support.query_service import QueryService, page_of, serving, write
from tests.support.services.redis import remove_keys
from tests.support.store.limits import read_limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from tests.support.api.served import Serve
    from tests.support.query_service import Store

Filters = dict[str, str]

#: Filters that many details meet, some meet and none meets.
WIDE = {
    "status": "SUCCESS",
    "packageName": "a",
    "repoName": "n",
    "clusterName": "d",
    "path": "a",
    "artifactName": "a",
    "version": "1.0",
    "remoteCluster": "dev",
    "localRepoName": "npm",
}
SOME = {
    "status": ("RUNNING", "FAILED"),
    "packageName": (
        "npm://a",
        "npm://",
        "a://b",
        "docker://中",
        "a.",
        "a*",
        "a(b[",
        "a\x00",
        "a\x01",
        "a中",
        "a~",
        "x://a😀",
        "A",
        "a/b c%20\"'",
    ),
    "repoName": ("npm", "npm-", "npm\x00", "npm~", "npm\U0010ffff", "generic*"),
    "clusterName": ("dev", "dev-", "D", "测", "prod\x00"),
    "path": ("aé", "a\uffff", "a.b", "a\x01\x02", "ab"),
    "artifactName": ("ae\u0301", "a\x7f", "a.", "a中文"),
    "version": ("1.0.0",),
    "remoteCluster": ("Dev", "prod\x00x", "测试"),
    "localRepoName": ("npm\x00", "npm-local", "generic*"),
}
#: What begins others is no exact name of them; a scheme is none of a name.
NONE = (
    dict.fromkeys(WIDE, "1")
    | {"packageName": "zzz://a", "remoteCluster": "de", "localRepoName": "np"}
    | {"status": "RUNNING", "repoName": ".*", "clusterName": "d%"}
)

_PLACES = ("status", "repoName", "clusterName", "remoteCluster", "localRepoName")
#: The records, and the filters their details can be found by: any names, all names, paths alone, artifacts alone.
KINDS = {
    "mixed": tuple(WIDE),
    "whole": tuple(WIDE),
    "paths": (*_PLACES, "path", "version"),
    "artifacts": (*_PLACES, "artifactName", "version"),
}
NAMES = ("packageName", "path", "artifactName", "version")
DETAILS = 150
AT_ONCE = 100
SEED = 4
#: Combinations of three filters and more that are tried of each kind, and combinations with each way to search.
LARGER_COMBINATIONS = 25
COMBINATIONS_A_WAY = 20


class Expected:
    """What filtered reads of one record must find, and how."""

    def __init__(self, model: Model, record_id: str) -> None:
        self._model = model
        self._record_id = record_id
        self.rows = model.details(record_id)
        self._alone: dict[tuple[str, str], set[str]] = {}

    def matches(self, filters: Filters) -> list[dict[str, Any]]:
        """The details that meet each of ``filters``, newest first."""
        alone = [self._ids(name, text) for name, text in filters.items() if text]
        return [row for row in self.rows if all(row["id"] in ids for ids in alone)]

    def strategies(self, filters: Filters, *, narrow: int) -> set[str]:
        """How the store may search: by rank where no name narrows; in order of time where one broad name decides."""
        names = [name for name in NAMES if filters.get(name) and not filters[name].endswith("://")]
        if not names:
            return {"pairs"}
        broad = any(
            len(self.matches({"status": filters.get("status", ""), name: filters[name]})) > narrow for name in names
        )
        return {"names", "pairs", "scan"} if broad else {"names", "pairs"}

    def _ids(self, name: str, text: str) -> set[str]:
        if (name, text) not in self._alone:
            rows = self._model.details(self._record_id, **{name: text})
            self._alone[name, text] = {row["id"] for row in rows}
        return self._alone[name, text]


@dataclass(frozen=True)
class Filtered:
    """A service over the records of :data:`KINDS`, and what it must answer; ``place`` is the store's URL and prefix."""

    service: QueryService
    expected: dict[str, Expected]
    place: tuple[str, str]

    @asynccontextmanager
    async def searched_by(self, limits: Mapping[str, float]) -> AsyncIterator[Filtered]:
        """The same over a service of which these limits of reads are others."""
        async with answering(*self.place, store=partial(StoreQueries, limits=read_limits(limits))) as service:
            yield replace(self, service=service)

    async def check(self, kind: str, filters: Filters, number: int, size: int) -> None:
        """Require one page to be what the oracle says."""
        rows = self.expected[kind].matches(filters)
        query = {"pageNumber": number, "pageSize": size}
        await self.service.is_answered(page_of(rows, number, size), "detail/page", kind, **query, **filters)


def answering(redis_url: str, prefix: str, store: Store = StoreQueries) -> AbstractAsyncContextManager[QueryService]:
    """A service in which a page that is asked for again is searched again."""
    return serving(redis_url, prefix, Limits(kept_answers=0), store=store)


@pytest.fixture(scope="module")
async def filtered(redis_url: str) -> AsyncIterator[Filtered]:
    """Written once; the tests only read."""
    prefix = f"replog-test-{uuid.uuid4().hex}"
    random = Random(SEED)
    events = streams.shuffled(random, [event for kind in KINDS for event in events_of(random, kind)])
    await write(redis_url, prefix, events)
    model = Model(events, now=streams.EPOCH.replace(year=2022))
    async with answering(redis_url, prefix) as running:
        yield Filtered(running, {kind: Expected(model, kind) for kind in KINDS}, (redis_url, prefix))
    remove_keys(redis_url, prefix)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The strategies that searches took since."""
    strategies: list[str] = []
    page = detail_search.Search.page

    async def noted(self: detail_search.Search, offset: int, limit: int) -> detail_search.SearchResult | None:
        found = await page(self, offset, limit)
        if found:
            strategies.append(found.strategy)
        return found

    monkeypatch.setattr(detail_search.Search, "page", noted)
    return strategies


def events_of(random: Random, kind: str) -> Iterator[streams.Event]:
    """The events of a record's details; many of them start at once."""
    for number in range(DETAILS):
        start = streams.EPOCH if number < AT_ONCE else None
        yield from streams.detail_events(random, kind, f"d{number}", facts_of(random, kind), start=start)


def facts_of(random: Random, kind: str) -> streams.Event:
    """Facts with the names that ``kind`` has."""
    name = random.choice(streams.AWKWARD_NAMES)
    match kind:
        case "paths":
            return streams.place(random) | {"path": name, "version": "1.0"}
        case "artifacts":
            return streams.place(random) | {"artifactName": name, "version": "1.0"}
    if kind == "whole" or random.random() < 0.7:
        key = {"packageKey": random.choice(streams.AWKWARD_KEYS)} if random.random() < 0.5 else {}
        return streams.place(random) | streams.full_name(random) | key
    return streams.facts(random)


def subsets(kind: str) -> list[tuple[str, ...]]:
    """All single filters and pairs of those by which details of ``kind`` can be found, and some of more of them."""
    every = [names for size in range(len(KINDS[kind]) + 1) for names in combinations(KINDS[kind], size)]
    few, many = [names for names in every if len(names) <= 2], [names for names in every if len(names) > 2]
    return few + Random(SEED).sample(many, min(LARGER_COMBINATIONS, len(many)))


def variants(random: Random, names: tuple[str, ...]) -> Iterator[Filters]:
    """Filters by ``names``: wide, narrower, and with one that nothing meets."""
    yield {name: WIDE[name] for name in names}
    yield {name: random.choice((WIDE[name], *SOME[name])) for name in names}
    for name in random.sample(names, min(1, len(names))):
        yield {other: WIDE[other] for other in names} | {name: NONE[name]}


def pages_of(total: int) -> list[tuple[int, int]]:
    """Number and size of the first, a middle, the last and a page past the end, and of one with all rows."""
    last = max(1, -(-total // 7))
    return [(1, 7), (last // 2 + 1, 7), (last, 7), (last + 1, 7), (max(1, total), 1), (1, 1000)]


async def test_every_combination_finds_something(filtered: Filtered) -> None:
    """So that the tests below are about more than empty pages."""
    for kind, expected in filtered.expected.items():
        found = [len(expected.matches({name: WIDE[name] for name in names})) for names in subsets(kind)]
        assert sum(map(bool, found)) > len(found) * 0.7
        assert len(set(found)) > 10


@pytest.mark.every_topology
@pytest.mark.parametrize("kind", KINDS)
async def test_every_combination_of_filters(filtered: Filtered, kind: str, taken: list[str]) -> None:
    """Rows, order and totals of all pages are exact, and nothing is scanned that an index has."""
    random, expected = Random(SEED), filtered.expected[kind]
    for names in subsets(kind):
        for variant, filters in enumerate(variants(random, names)):
            pages = pages_of(len(expected.matches(filters)))
            taken.clear()
            for number, size in random.sample(pages, 1 if variant else 4):
                await filtered.check(kind, filters, number, size)
            assert set(taken) <= expected.strategies(filters, narrow=SearchLimits().narrow)
            # A status alone is a range of one index: nothing is searched for.
            assert bool(taken) == bool(filters.keys() - {"status"})


@pytest.mark.parametrize(
    "limits",
    [
        {"search.narrow": 0},
        {"search.narrow": 20, "search.scan.step": 20},
        {"search.narrow": 20, "search.scan.step": 7, "search.rank.heads_a_call": 1},
        {"search.facets.few_fields": 0, "search.facets.pairs_a_call": 2},
        {"search.rank.near": 0, "search.rank.head_costs": 1},
        {
            "search.rank.near": 3,
            "search.rank.head_costs": 0,
            "search.rank.heads_a_call": 5,
            # Few, but not so few that a busy machine takes longer than the store may.
            "search.rank.fetched_a_call": 20,
        },
        {
            "search.rank.near": 3,
            "search.rank.head_costs": 50,
            "search.rank.step": 3,
            "search.rank.calls_at_once": 2,
            "search.facets.few_fields": 0,
        },
        {
            "search.narrow": 0,
            "search.names.newest": 0,
            "search.names.entries_a_call": 3,
            "search.names.sampled": 0.5,
        },
        {"search.scan.detail_costs": 1000, "search.names.newest": 5, "search.names.sampled": 0.01},
        {
            "search.narrow": 0,
            "search.scan.detail_costs": 0.5,
            "search.costs.value": 0.1,
            "search.costs.head": 0.1,
        },
        {"search.narrow": 0, "search.costs.asking": 0.1, "search.names.newest": 5},
        {
            "search.narrow": 0,
            "search.costs.value": 1000,
            "search.costs.asking": 1000,
            "search.names.kept": 7,
        },
    ],
    ids=str,
)
async def test_every_way_to_search(filtered: Filtered, limits: dict[str, float], taken: list[str]) -> None:
    """As the limits say, and with the same answers."""
    random, narrow = Random(SEED), read_limits(limits).search.narrow
    # Where all pairs are many, a condition that all of them meet leaves one on the status.
    other_ways = {"status"} if limits.get("search.facets.few_fields") == 0 else set()
    ways = set()
    async with filtered.searched_by(limits) as searched:
        for names in random.sample(subsets("mixed")[1:], COMBINATIONS_A_WAY):
            for filters in variants(random, names):
                kind = random.choice(tuple(KINDS))
                expected = searched.expected[kind]
                taken.clear()
                await searched.check(kind, filters, -(-len(expected.matches(filters)) // 14), 7)
                assert set(taken) - other_ways <= expected.strategies(filters, narrow=narrow), (kind, filters)
                ways |= {*taken}
    assert ways >= {"pairs", "names"}


@pytest.mark.parametrize(
    "limits", [{"search.rank.near": 0}, {}, {"search.rank.deviations": 0, "search.rank.margin": -1}], ids=str
)
async def test_pages_of_any_size_are_the_list_cut_up(
    filtered: Filtered, limits: dict[str, float], taken: list[str]
) -> None:
    """Without overlap or gap, also among details that start at once, and where matches are rarer than expected."""
    rows = filtered.expected["mixed"].matches({"clusterName": "d"})
    async with filtered.searched_by(limits) as searched:
        for size in (1, 7, 1000):
            pages = [
                await searched.service.page("detail/page", "mixed", number, size, clusterName="d")
                for number in range(1, -(-len(rows) // size) + 1)
            ]
            assert [row["id"] for page in pages for row in page["records"]] == [row["id"] for row in rows]
            assert {page["totalRecords"] for page in pages} == {len(rows)}
    assert set(taken) == {"pairs"}


async def test_empty_filters_are_absent(filtered: Filtered) -> None:
    """As the contract says; an empty name is no condition."""
    rows = filtered.expected["mixed"].rows
    empty = dict.fromkeys(WIDE, "")
    query = {"pageNumber": 1, "pageSize": 1000}
    await filtered.service.is_answered(page_of(rows, 1, 1000), "detail/page", "mixed", **query, **empty)


async def test_a_package_is_searched_by_its_key_where_a_scheme_is_given(serve: Serve) -> None:
    """Else by its name, which is what follows the scheme of a key that stands alone."""
    detail = {"type": "detail.started", "recordId": "r", "eventTime": "2021-05-12T12:19:08Z"}
    service = await serve(
        detail | {"detailId": "by key", "packageKey": "npm://hello://world"},
        detail | {"detailId": "by both", "packageKey": "npm://hello", "packageName": "hello"},
        detail | {"detailId": "other key", "packageKey": "npm://world", "packageName": "hello"},
        detail | {"detailId": "by name", "packageName": "hello"},
        detail | {"detailId": "by plain key", "packageKey": "hello-world"},
        detail | {"detailId": "name as a key", "packageName": "docker://hello"},
        detail | {"detailId": "no package", "path": "npm://hello"},
    )

    async def found(package_name: str) -> set[str]:
        page = await service.page("detail/page", "r", 1, 10, packageName=package_name)
        assert page["totalRecords"] == len(page["records"])
        for row in page["records"] if "://" in package_name else ():
            assert row["packageConstraint"]["packageKey"].startswith(package_name)
        return {row["id"] for row in page["records"]}

    assert await found("hello") == {"by key", "by both", "other key", "by name", "by plain key"}
    assert await found("npm://") == {"by key", "by both", "other key"}
    assert await found("npm://hello") == {"by key", "by both"}
    assert await found("npm://w") == {"other key"}
    assert await found("npm://hello://") == {"by key"}
    assert await found("docker://") == await found("docker://he") == await found("docker") == {"name as a key"}
    assert await found("zzz://hello") == await found("np://") == await found("://") == await found("npm") == set()


async def test_exact_names_of_places_are_no_prefixes(serve: Serve) -> None:
    """A click on `dev` does not list `dev2`; beside a prefix both have to hold."""
    detail = {"type": "detail.started", "recordId": "r", "eventTime": "2021-05-12T12:19:08Z"}
    places = [(cluster, repo) for cluster in ("dev", "dev2", None) for repo in ("npm", "npm-local", None)]
    told = [
        {name: text for name, text in (("remoteCluster", cluster), ("repoName", repo)) if text is not None}
        for cluster, repo in places
    ]
    service = await serve(*(detail | {"detailId": str(number)} | facts for number, facts in enumerate(told)))

    async def found(**filters: str) -> list[int]:
        page = await service.page("detail/page", "r", 1, 10, **filters)
        assert page["totalRecords"] == len(page["records"])
        return sorted(int(row["id"]) for row in page["records"])

    assert await found(remoteCluster="dev") == [0, 1, 2]
    assert await found(localRepoName="npm") == [0, 3, 6]
    assert await found(remoteCluster="dev", localRepoName="npm") == [0]
    assert await found(remoteCluster="dev2", clusterName="dev", repoName="npm") == [3, 4]
    assert await found(remoteCluster="dev", clusterName="dev2") == await found(remoteCluster="de") == []


async def test_filters_of_tasks_pages_are_ignored_beside_status(serve: Serve) -> None:
    """Endpoint 2 knows no other filter; unknown parameters do no harm."""
    started = {"type": "record.started", "recordId": "r", "taskKey": "t", "eventTime": "2021-05-12T12:19:08Z"}
    service = await serve(started)
    page = await service.page("page", "t", 1, 10, packageName="none", sort="id", status="RUNNING")
    assert page["totalRecords"] == 1
