"""The details that the benchmark of the store is about: a function of their seed, with the counts to expect."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from replog.events import DetailFinished, DetailStarted, Progress, RecordFinished, RecordStarted, Tally
from replog.store.write.batch import Batch
from replog.times import TimeUs
from replog_local.simulation import EPOCH_US

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from replog.events import DetailEvent, RecordEvent
    from replog.store.read.filters import DetailFilter

T = TypeVar("T")

#: Events of one poll of the collector.
BATCH = 5000
EPOCH_MS = EPOCH_US // 1000
#: Time between two starts of one record, and how far workers' clocks and queues scatter them.
STEP_MS, SCATTER_MS = 20, 5000
#: One detail in so many has a package that begins with :data:`BROAD`; the others' prefixes match about so many each.
BROAD_EVERY, NARROW_MATCHES = 10, 900
BROAD, BROAD_PACKAGES = "broad/", 500
#: Names that are prefixes of each other, with bytes above 0x7F.
SUFFIXES = ("", "/größe", "/größe-表")
CLUSTERS = ("eu", "eu-west", "eu-west-1", "zürich")
REPOS = (*(f"repo-{number}" for number in range(49)), "репозиторий")


class Row(NamedTuple):
    """One detail, as far as filters and orders see it."""

    detail_id: str
    start_ms: int
    status: str
    cluster: str
    repo: str
    package: str
    version: str = ""
    path: str = ""
    artifact: str = ""


@dataclass(frozen=True)
class Shape:
    """One record's details: how many, over which clusters and repositories, and whether at one time."""

    record_id: str
    details: int
    clusters: tuple[str, ...] = CLUSTERS
    repos: tuple[str, ...] = REPOS
    at_once: bool = False
    seed: int = 1

    @property
    def pairs(self) -> int:
        """Pairs of cluster and repository."""
        return len(self.clusters) * len(self.repos)

    @property
    def narrow_packages(self) -> int:
        """Numbers of packages that are not broad ones."""
        return max(1, self.details // NARROW_MATCHES)

    def rows(self) -> Iterator[Row]:
        """The details, in order of their arrival."""
        rng = Random(f"{self.seed}/{self.record_id}")
        chance, bits = rng.random, rng.getrandbits
        clusters, repos, narrow = self.clusters, self.repos, self.narrow_packages
        for number in range(self.details):
            start_ms = 0 if self.at_once else number * STEP_MS + int(chance() * SCATTER_MS)
            yield Row(
                f"{bits(96):024x}",
                EPOCH_MS + start_ms,
                _status(chance()),
                clusters[int(chance() * len(clusters))],
                repos[int(chance() * len(repos))],
                f"{BROAD}{number // BROAD_EVERY % BROAD_PACKAGES:03}"
                if number % BROAD_EVERY == 0
                else narrow_package(int(chance() * narrow)) + SUFFIXES[number % len(SUFFIXES)],
            )


@dataclass(frozen=True)
class WholeShape(Shape):
    """Details that have a package, a version, a path, an artifact and a hash, as the packages of a Debian mirror do."""

    clusters: tuple[str, ...] = ("dev", "dev2", "edge")
    repos: tuple[str, ...] = ("bookworm", "bookworm-updates")

    def rows(self) -> Iterator[Row]:
        """The details, in order of their arrival: three of each package."""
        rng = Random(f"{self.seed}/{self.record_id}")
        for row in super().rows():
            package = whole_package(rng.randrange(max(1, self.details // DETAILS_A_PACKAGE)))
            version = f"{rng.randrange(9)}.{rng.randrange(30)}-{1 + rng.randrange(3)}"
            artifact = f"{package}_{version}_{rng.choice(('amd64', 'arm64', 'all'))}.deb"
            folder = package[: 4 if package.startswith("lib") else 1]
            path = f"/pool/main/{folder}/{package}/{artifact}"
            yield row._replace(package=package, version=version, path=path, artifact=artifact)


#: Details of one package.
DETAILS_A_PACKAGE = 3
_STEMS = ("libgnome", "libperl", "python3", "golang", "ruby", "node", "fonts", "linux", "gcc", "texlive")


def whole_package(number: int) -> str:
    """The name of one package of a :class:`WholeShape`."""
    return f"{_STEMS[number % len(_STEMS)]}-{number // len(_STEMS):x}-dev"


def narrow_package(number: int) -> str:
    """What the names of one of the narrow packages begin with."""
    return f"lib-{number:05}"


def _status(chance: float) -> str:
    if chance < 0.8:
        return "SUCCESS"
    return "FAILED" if chance < 0.9 else "RUNNING"


class Known:
    """Counts of what was generated of one record, for the totals of any filter on status, cluster and one name."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._pairs: Counter[tuple[str, str, str]] = Counter()
        self._packages: Counter[tuple[str, str, str]] = Counter()
        self.total = cache(self._counted)

    def noted(self, rows: Iterable[Row]) -> Iterator[Row]:
        """``rows`` as they are, counted in passing."""
        for row in rows:
            self._pairs[row.status, row.cluster, row.repo] += 1
            self._packages[row.status, row.cluster, row.package] += 1
            yield row

    def _counted(self, flt: DetailFilter) -> int:
        assert not (flt.repo_name and flt.package_name), "not counted"
        counter, name = (self._packages, flt.package_name) if flt.package_name else (self._pairs, flt.repo_name)
        return sum(
            count
            for (status, cluster, other), count in counter.items()
            if status.startswith(flt.status) and cluster.startswith(flt.cluster_name) and other.startswith(name)
        )


class WholeKnown(Known):
    """The rows of one :class:`WholeShape` themselves, for the totals of any filter."""

    def __init__(self, shape: WholeShape) -> None:
        super().__init__(shape)
        self._rows: list[Row] = []

    def noted(self, rows: Iterable[Row]) -> Iterator[Row]:
        """``rows`` as they are, kept in passing."""
        for row in rows:
            self._rows.append(row)
            yield row

    def _counted(self, flt: DetailFilter) -> int:
        exact = {
            "status": flt.status,
            "version": flt.version,
            "cluster": flt.remote_cluster,
            "repo": flt.local_repo_name,
        }
        begun = {"cluster": flt.cluster_name, "repo": flt.repo_name, "package": flt.package_name}
        begun |= {"path": flt.path, "artifact": flt.artifact_name}
        key = flt.package_key
        return sum(
            all(not text or getattr(row, name) == text for name, text in exact.items())
            and all(getattr(row, name).startswith(text) for name, text in begun.items())
            and (SCHEME + row.package).startswith(key)
            for row in self._rows
        )


SCHEME = "npm://"


def event_of(record_id: str, row: Row) -> DetailEvent:
    """The one event that makes ``row``."""
    facts: dict[str, Any] = {
        "record_id": record_id,
        "detail_id": row.detail_id,
        "event_us": TimeUs(row.start_ms * 1000),
        "local_cluster": "center",
        "remote_cluster": row.cluster,
        "repo_name": row.repo,
        "repo_type": "NPM",
        "package_name": row.package,
        "package_key": SCHEME + row.package,
        **(_whole(row) if row.path else {"versions": ["1.0.0"]}),
    }
    if row.status == "RUNNING":
        return DetailStarted(**facts)
    return DetailFinished(**facts, **(_DONE if row.status == "SUCCESS" else _FAILED))


def _whole(row: Row) -> dict[str, Any]:
    digest = sha256(row.path.encode()).hexdigest()
    return {"version": row.version, "path": row.path, "artifact_name": row.artifact, "size": 123_456, "sha256": digest}


_DONE: dict[str, Any] = {
    "status": "SUCCESS",
    "progress": Progress(blob=Tally(total=3, success=3), version=Tally(total=1, success=1), total_size=123_456_789),
}
_FAILED: dict[str, Any] = {
    "status": "FAILED",
    "error_reason": "checksum of the transferred artifact does not match",
    "progress": Progress(blob=Tally(total=3, success=2, failed=1), total_size=1_234_567),
}


def batch_of(events: Iterable[RecordEvent | DetailEvent]) -> Batch:
    """``events`` folded."""
    batch = Batch()
    for event in events:
        batch.add(event)
    return batch


def detail_batches(record_id: str, rows: Iterable[Row]) -> Iterator[Batch]:
    """The events of ``rows``, folded as the collector folds a poll."""
    for chunk in chunks(rows, BATCH):
        yield batch_of(event_of(record_id, row) for row in chunk)


class RecordRow(NamedTuple):
    """One record of a task."""

    record_id: str
    start_ms: int
    status: str


def record_rows(records: int) -> Iterator[RecordRow]:
    """The records of one task, in order of their start."""
    rng = Random(records)
    for number in range(records):
        yield RecordRow(f"{rng.getrandbits(96):024x}", EPOCH_MS + number * 1000, _status(rng.random()))


def record_event(task_key: str, row: RecordRow) -> RecordEvent:
    """The one event that makes ``row``."""
    facts: dict[str, Any] = {"record_id": row.record_id, "task_key": task_key, "event_us": TimeUs(row.start_ms * 1000)}
    if row.status == "RUNNING":
        return RecordStarted(**facts, task_name="npm packages, every night", expected_details=1500)
    facts["status"] = row.status
    return RecordFinished(**facts, replicated_bytes=123_456_789)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """``items`` in lists of ``size``, the last one shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
