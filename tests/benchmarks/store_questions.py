"""What the benchmark of the store asks: pages by filter and offset, with the totals that are right."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

from replog.store.filters import NO_FILTER, DetailFilter
from tests.benchmarks.store_data import BROAD, narrow_package

if TYPE_CHECKING:
    from tests.benchmarks.store_data import Known

#: Rows on a page.
LIMIT = 20
_STATUSES = ("", "SUCCESS", "FAILED", "RUNNING")


class Query(NamedTuple):
    """One page, and how many details match in all."""

    flt: DetailFilter
    offset: int
    total: int


class Question(NamedTuple):
    """Pages of one kind of one record; ``goal_ms`` is for the 99th of 100."""

    what: str
    goal_ms: float
    record_id: str
    queries: list[Query]


class _Asker:
    """Makes the pages of one record, at random from a seed."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._rng = Random(f"ask/{known.shape.record_id}")

    def anywhere(self, flt: DetailFilter) -> Query:
        total = self._known.total(flt)
        return Query(flt, self._rng.randrange(max(1, total - LIMIT + 1)), total)

    def at(self, flt: DetailFilter, part: float) -> Query:
        total = self._known.total(flt)
        return Query(flt, int(total * part), total)

    def mix(self) -> DetailFilter:
        """A status or none, and prefixes of any length of one cluster and one repository."""
        shape = self._known.shape
        flt = NO_FILTER
        while flt == NO_FILTER:
            flt = DetailFilter(
                status=self._rng.choice(_STATUSES),
                cluster_name=self._cut(shape.clusters),
                repo_name=self._cut(shape.repos),
            )
        return flt

    def narrow(self) -> DetailFilter:
        number = self._rng.randrange(self._known.shape.narrow_packages)
        return DetailFilter(package_name=narrow_package(number) + self._rng.choice(("", "/gr")))

    def _cut(self, names: tuple[str, ...]) -> str:
        name = self._rng.choice(names)
        return name[: self._rng.randrange(len(name) + 1)]


def questions(wide: Known, many: Known, tied: Known) -> list[Question]:
    """All that is asked of details."""
    return [*_of_wide(wide), *_of_many(many), *_of_tied(tied)]


def _of_wide(known: Known) -> list[Question]:
    ask, record_id = _Asker(known), known.shape.record_id
    size = f"{known.shape.details:,} details, {known.shape.pairs:,} pairs"
    broad = DetailFilter(package_name=BROAD)
    return [
        Question(f"{size}: no filter", 1, record_id, [ask.anywhere(NO_FILTER) for _ in range(2000)]),
        Question(f"{size}: status, cluster, repository", 10, record_id, [ask.anywhere(ask.mix()) for _ in range(500)]),
        Question(f"{size}: status alone", 10, record_id, [ask.anywhere(_of_status(number)) for number in range(200)]),
        Question("a narrow package", 5, record_id, [ask.anywhere(ask.narrow()) for _ in range(200)]),
        Question(f"a package of {known.total(broad):,}, first page", 5, record_id, [ask.at(broad, 0)] * 20),
        Question(f"a package of {known.total(broad):,}, middle page", 600, record_id, [ask.at(broad, 0.5)] * 5),
    ]


def _of_many(known: Known) -> list[Question]:
    ask, record_id = _Asker(known), known.shape.record_id
    size = f"{known.shape.details:,} details, {known.shape.pairs:,} pairs"
    return [
        Question(f"{size}: no filter", 1, record_id, [ask.anywhere(NO_FILTER) for _ in range(500)]),
        Question(f"{size}: status, cluster, repository", 300, record_id, [ask.anywhere(ask.mix()) for _ in range(60)]),
        Question(f"{size}: status alone", 300, record_id, [ask.anywhere(_of_status(number)) for number in range(30)]),
    ]


def _of_tied(known: Known) -> list[Question]:
    ask, record_id = _Asker(known), known.shape.record_id
    size = f"{known.shape.details:,} details of one start"
    return [
        Question(f"{size}: no filter", 1, record_id, [ask.anywhere(NO_FILTER) for _ in range(500)]),
        Question(f"{size}: status, cluster, repository", 10, record_id, [ask.anywhere(ask.mix()) for _ in range(200)]),
    ]


def _of_status(number: int) -> DetailFilter:
    return DetailFilter(status=_STATUSES[1 + number % 3])
