"""The parts of a copy, and the ports of its two ends. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from replog.store.transfer.register_scan import Erasure, RecordPart, RemovedRecord


class Records(NamedTuple):
    """Records of a bucket, or parts of them."""

    parts: Sequence[RecordPart]

    @property
    def rows(self) -> int:
        """The number of records and details: a record counts where it begins."""
        return sum(len(part.details) + part.begins for part in self.parts)


class Removed(NamedTuple):
    """Records of a bucket that retention removed."""

    records: Sequence[RemovedRecord]


class Erasures(NamedTuple):
    """Records of a bucket that were erased."""

    erased: Sequence[Erasure]


#: A part of a bucket.
Chunk: TypeAlias = Records | Removed | Erasures


class Origin(Protocol):
    """The end that a copy comes from."""

    @property
    def identity(self) -> str:
        """A name by which a copy that was cut off knows that it goes on from the same."""

    async def count(self) -> int:
        """The number of records and details."""

    async def checkpoints(self, bucket: int) -> Mapping[str, int]:
        """The checkpoints of a bucket; everything before them is in what :meth:`chunks` yields afterwards."""

    def chunks(self, bucket: int) -> AsyncIterator[Chunk]:
        """All that a bucket has, in parts of bounded size: erasures come before the records that are later."""


class Destination(Protocol):
    """The end that a copy goes to. Methods are called in this order, and for one bucket after the other."""

    async def begin(self) -> None:
        """Take the place."""

    async def has(self, bucket: int) -> bool:
        """Whether a copy that was cut off has completed the bucket."""

    async def write(self, bucket: int, chunk: Chunk) -> None:
        """Take a part of a bucket."""

    async def complete(self, bucket: int, checkpoints: Mapping[str, int]) -> None:
        """Note that all of a bucket is there, and what its checkpoints were before it was read."""

    async def finish(self) -> None:
        """Make what was copied valid: all buckets are complete."""
