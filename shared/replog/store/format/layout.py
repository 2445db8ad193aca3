"""The layout version: the store says in which layout it is written, and no process works on one it cannot read. Pure.

Each bucket has a *mark*: the number of the layout and the version of replog that wrote it, as ``1 0.1.0``. A collector
that starts on a new store writes all marks (:mod:`replog.store.write.layout_claim`). The scripts that bring the first
record or task into a bucket write its mark in the same step, where it has none: so there is never data without a mark,
whatever a server has lost. Both services read the marks whenever a connection leads to another server process
(:mod:`replog.store.client.layout_check`).
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from replog.store.format.keys import BUCKETS, BucketKeys

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

#: The layout of this version: of the keys and what they hold (:mod:`replog.store.format.keys`) and of registers
#: (:mod:`replog.records`). It moves on with each change that another version would misread; a new fact is none.
LAYOUT = 2
#: The layouts that this version reads and writes, and those of which it can read the registers, to copy a store to
#: another one. Layout 1 has the same registers; it has a record's details by time, and not by status and time.
READABLE, COPYABLE = frozenset({LAYOUT}), frozenset({1, LAYOUT})

_MARK = re.compile(rb"([0-9]{1,9}) (\S{1,100})")


class Mark(NamedTuple):
    """The layout of a bucket, and the version of replog that wrote the mark."""

    layout: int
    writer: str

    def encoded(self) -> bytes:
        """The mark as it is stored."""
        return f"{self.layout} {self.writer}".encode()


@cache
def own_mark() -> bytes:
    """The mark of this version."""
    return Mark(LAYOUT, version("replog")).encoded()


def all_buckets(prefix: str) -> list[BucketKeys]:
    """All buckets of the store under ``prefix``."""
    return [BucketKeys(prefix, number) for number in range(BUCKETS)]


def evidence_of_data(bucket: BucketKeys) -> tuple[bytes, ...]:
    """Keys of which one exists where a bucket ever had a record or a task."""
    return bucket.due, bucket.removed, bucket.tasks


def problem_of_marks(prefix: str, marks: Iterable[bytes], layouts: Collection[int] = READABLE) -> str:
    """Message that says why a store with these marks is of none of ``layouts``, and what to do; empty where it is."""
    for stored in marks:
        found = _MARK.fullmatch(stored)
        if not found:
            return (
                f"the store with the prefix {prefix} has the mark {stored[:100]!r} of no version of replog; {_REBUILD}"
            )
        mark = Mark(int(found[1]), found[2].decode(errors="replace"))
        if mark.layout not in layouts:
            return _other_layout(prefix, mark)
    return ""


def _other_layout(prefix: str, mark: Mark) -> str:
    copied = f"{_COPY}, or " if mark.layout in COPYABLE else ""
    return (
        f"the store with the prefix {prefix} has layout {mark.layout}, written by replog {mark.writer}; "
        f"this is replog {version('replog')} with layout {LAYOUT}: "
        f"run the version that wrote it, or {copied}{_REBUILD}"
    )


def problem_of_unmarked(prefix: str) -> str:
    """The same of data without a mark."""
    return (
        f"the store with the prefix {prefix} has data and no layout, so a build before replog 0.1.0 wrote it; "
        f"this version cannot read it: {_REBUILD}"
    )


_COPY = "copy it to an empty prefix with `replog copy` (docs/operations.md, Upgrades)"
_REBUILD = "fill an empty prefix from the topic (docs/operations.md, Rebuilding the store)"
