"""What the benchmark of the store asks: pages by filter and offset, with the totals that are right."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

from replog.store.read.filters import NO_FILTER, DetailFilter
from tests.benchmarks.store_data import BROAD, SCHEME, narrow_package

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
    #: Whether other stores are asked, too: they have neither paths nor versions.
    of_others: bool = True


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


def questions(wide: Known, many: Known, tied: Known, whole: Known) -> list[Question]:
    """All that is asked of details."""
    return [*of_wide(wide), *of_many(many), *_of_tied(tied), *of_whole(whole)]


def of_wide(known: Known) -> list[Question]:
    """What is asked of a record with few pairs."""
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


def of_many(known: Known) -> list[Question]:
    """What is asked of a record with many pairs."""
    ask, record_id = _Asker(known), known.shape.record_id
    size = f"{known.shape.details:,} details, {known.shape.pairs:,} pairs"
    return [
        Question(f"{size}: no filter", 1, record_id, [ask.anywhere(NO_FILTER) for _ in range(500)]),
        Question(f"{size}: status, cluster, repository", 10, record_id, [ask.anywhere(ask.mix()) for _ in range(60)]),
        Question(f"{size}: status alone", 10, record_id, [ask.anywhere(_of_status(number)) for number in range(30)]),
    ]


def _of_tied(known: Known) -> list[Question]:
    ask, record_id = _Asker(known), known.shape.record_id
    size = f"{known.shape.details:,} details of one start"
    return [
        Question(f"{size}: no filter", 1, record_id, [ask.anywhere(NO_FILTER) for _ in range(500)]),
        Question(f"{size}: status, cluster, repository", 10, record_id, [ask.anywhere(ask.mix()) for _ in range(200)]),
    ]


#: Filters of details that have all names, and the pages of them that are asked for, as parts of all.
_WHOLE: list[tuple[DetailFilter, tuple[float, ...]]] = [
    (DetailFilter(path="/pool/main/libp/libperl-1"), (0, 0.5)),
    (DetailFilter(path="/pool/main/l"), (0, 0.5)),
    (DetailFilter(path="/pool/"), (0, 0.5)),
    (DetailFilter(version="1.0-1"), (0, 0.5)),
    (DetailFilter(artifact_name="golang-"), (0, 0.5)),
    (DetailFilter(artifact_name="golang-12"), (0,)),
    (DetailFilter(package_key=SCHEME), (0, 0.5)),
    (DetailFilter(package_key=f"{SCHEME}libperl-1"), (0,)),
    (DetailFilter(package_key="zzz://libperl"), (0,)),
    (DetailFilter(package_name="lib", path="/pool/main/libp"), (0, 0.5)),
    (DetailFilter(package_name="lib", version="1.0-1"), (0,)),
    (DetailFilter(path="/pool/main/l", version="1.0-1", status="FAILED"), (0,)),
    (DetailFilter(path="/pool/main/l", artifact_name="libp", remote_cluster="dev"), (0, 0.5)),
    (DetailFilter(package_key=f"{SCHEME}lib", remote_cluster="dev", local_repo_name="bookworm"), (0, 0.5)),
    (DetailFilter(package_name="l", path="/pool/main/l", artifact_name="l", status="SUCCESS"), (0,)),
]
#: Goals in ms, where the rarest condition is met by few and by many.
_WHOLE_FEW, _WHOLE_MS, _WHOLE_MANY_MS = 2000, 20, 1500


def of_whole(known: Known) -> list[Question]:
    """What is asked of details that have all names."""
    ask, record_id = _Asker(known), known.shape.record_id
    return [
        Question(
            f"{known.shape.details:,} with all names: {_shown(flt)} ({known.total(flt):,}), at {part:.0%}",
            _WHOLE_MS if _rarest(known, flt) < _WHOLE_FEW else _WHOLE_MANY_MS,
            record_id,
            [ask.at(flt, part)] * 10,
            of_others=False,
        )
        for flt, parts in _WHOLE
        for part in parts
    ]


def _rarest(known: Known, flt: DetailFilter) -> int:
    """How many details meet that condition of ``flt`` which the fewest do."""
    return min(known.total(NO_FILTER._replace(**{name: text})) for name, text in flt._asdict().items() if text)


def _shown(flt: DetailFilter) -> str:
    return ", ".join(f"{name} {text}" for name, text in flt._asdict().items() if text)


def _of_status(number: int) -> DetailFilter:
    return DetailFilter(status=_STATUSES[1 + number % 3])
