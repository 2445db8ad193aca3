"""What is indexed about a detail, and how: pairs, names and sums, from what events told of it. Pure.

A *pair* is a detail's remote cluster and repository. Its *name* is the package's, else the path, else the artifact's;
the kinds are kept apart, and a detail that has one of the later kinds beside its name is counted
(:attr:`Sums.other_paths`, :attr:`Sums.other_artifacts`), so that a reader knows when an index has them all.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from replog.events import DetailEvent, Progress

_LIMB = 32
_LOW = (1 << _LIMB) - 1

PACKAGE, PATH, ARTIFACT = KINDS = b"p", b"t", b"a"


class Placement(NamedTuple):
    """Where a detail stands in the indexes: ``marks`` are 0 or 1 for conflict, other path, other artifact."""

    pair: bytes
    name: bytes
    marks: tuple[int, int, int]


class Sums(NamedTuple):
    """What a detail adds to its record, and what a record's hash sums, in the order of its fields ``s1`` to ``s7``.

    64-bit numbers are kept as a high and a low part, each far from what a double holds exactly. What is seldom above 0
    stands last.
    """

    size_low: int = 0
    conflicts: int = 0
    other_paths: int = 0
    other_artifacts: int = 0
    skip_low: int = 0
    size_high: int = 0
    skip_high: int = 0

    @property
    def skip(self) -> int:
        """Things skipped."""
        return (self.skip_high << _LIMB) + self.skip_low

    @property
    def total_size(self) -> int:
        """Bytes."""
        return (self.size_high << _LIMB) + self.size_low


def escape(text: str) -> bytes:
    """``text`` as bytes without NUL that sort as it does; a prefix of the text is a prefix of the bytes."""
    return text.encode().replace(b"\x01", b"\x01\x02").replace(b"\x00", b"\x01\x01")


def pair_of(cluster: str, repo: str) -> bytes:
    """The member of the pairs index without its number."""
    return b"%b\x00%b\x00" % (escape(cluster), escape(repo))


#: A run has few pairs and many details of each.
_pair = lru_cache(4096)(pair_of)


def package_name(name: str | None, key: str | None) -> str | None:
    """The name a package is searched by: its own, else what follows ``://`` in its key."""
    if name is not None or key is None:
        return name
    _, separator, rest = key.partition("://")
    return rest if separator else key


#: Of a detail that never told its facts.
UNPLACED = Placement(pair_of("", ""), b"", (0, 0, 0))


def placement_of(facts: DetailEvent | None) -> Placement:
    """Where a detail belongs whose facts are this event's; None: no event told any."""
    if facts is None:
        return UNPLACED
    package = package_name(facts.package_name, facts.package_key)
    path, artifact = facts.path, facts.artifact_name
    if package is not None:
        name = PACKAGE + escape(package)
    elif path is not None:
        name = PATH + escape(path)
    else:
        name = b"" if artifact is None else ARTIFACT + escape(artifact)
    marks = (
        int(facts.conflict_strategy is not None),
        int(path is not None and package is not None),
        int(artifact is not None and (package is not None or path is not None)),
    )
    return Placement(_pair(facts.remote_cluster or "", facts.repo_name or ""), name, marks)


def sums_of(marks: tuple[int, int, int], progress: Progress | None) -> Sums:
    """What a detail with these marks and this progress adds."""
    if progress is None:
        return Sums(0, *marks)
    # As answers count artifacts (records.Progressed).
    counted = progress.version or progress.node or progress.blob
    skip = counted.skip if counted else 0
    size = progress.total_size
    return Sums(size & _LOW, *marks, skip & _LOW, size >> _LIMB, skip >> _LIMB)
