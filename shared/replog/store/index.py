"""What is indexed about a detail, and how: pairs, names and sums, from its registers. Pure.

A *pair* is a detail's remote cluster and repository. Its *name* is the package's, else the path, else the artifact's;
the kinds are kept apart, and a detail that has one of the later kinds beside its name is counted
(:attr:`Sums.other_paths`, :attr:`Sums.other_artifacts`), so that a reader knows when an index has them all.
"""

from __future__ import annotations

from typing import NamedTuple

from replog.records import DETAIL_FACTS, Progressed, facts_of, progress_of

_LIMB = 32
_LOW = (1 << _LIMB) - 1

_F = DETAIL_FACTS
_CLUSTER, _REPO, _CONFLICT = _F["remote_cluster"], _F["repo_name"], _F["conflict_strategy"]
_PACKAGE_NAME, _PACKAGE_KEY = _F["package_name"], _F["package_key"]
_PATH, _ARTIFACT = _F["path"], _F["artifact_name"]

PACKAGE, PATH, ARTIFACT = b"p", b"t", b"a"


class Placement(NamedTuple):
    """Where a detail stands in the indexes: ``marks`` are 0 or 1 for conflict, other path, other artifact."""

    pair: bytes
    name: bytes
    marks: tuple[int, int, int]


class Sums(NamedTuple):
    """What a record's hash sums over its details, in the order of its fields ``s1`` to ``s7``.

    64-bit numbers are kept as a high and a low part, each far from what a double holds exactly.
    """

    conflicts: int = 0
    other_paths: int = 0
    other_artifacts: int = 0
    skip_high: int = 0
    skip_low: int = 0
    size_high: int = 0
    size_low: int = 0

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


def package_name(name: str | None, key: str | None) -> str | None:
    """The name a package is searched by: its own, else what follows ``://`` in its key."""
    if name is not None or key is None:
        return name
    _, separator, rest = key.partition("://")
    return rest if separator else key


#: Of a detail that never told its facts.
UNPLACED = Placement(pair_of("", ""), b"", (0, 0, 0))


def placement_of(facts: bytes) -> Placement:
    """Where a detail with this facts register belongs."""
    if not facts:
        return UNPLACED
    known = facts_of(facts)
    package = package_name(known.get(_PACKAGE_NAME), known.get(_PACKAGE_KEY))
    names = ((PACKAGE, package), (PATH, known.get(_PATH)), (ARTIFACT, known.get(_ARTIFACT)))
    kind, name = next(((kind, name) for kind, name in names if name is not None), (b"", ""))
    marks = (
        int(_CONFLICT in known),
        int(_PATH in known and kind != PATH),
        int(_ARTIFACT in known and kind != ARTIFACT),
    )
    return Placement(pair_of(known.get(_CLUSTER, ""), known.get(_REPO, "")), kind and kind + escape(name), marks)


def sums_of(progress: bytes) -> tuple[int, int, int, int]:
    """The parts of the sums that a progress register contributes: skip and size, high and low each."""
    if not progress:
        return (0, 0, 0, 0)
    progressed: Progressed = progress_of(progress)
    skip, size = progressed.skip, progressed.total_size
    return (skip >> _LIMB, skip & _LOW, size >> _LIMB, size & _LOW)
