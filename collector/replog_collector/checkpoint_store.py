"""The port to the checkpoints: by partition, the offset before which the store has everything. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from replog.store.write.merge_result import MergeResult
    from replog.store.write.offsets import CheckpointRange, Reached, Span


class CheckpointStore(Protocol):
    """As :class:`replog.store.write.checkpoints.Checkpoints`. Every method raises StoreUnavailable."""

    async def read_ranges(self, partitions: Collection[int]) -> dict[int, CheckpointRange | None]:
        """The lowest and the highest checkpoint of each of ``partitions``; None where a part of the store has none."""

    async def begin(self, positions: Mapping[int, int]) -> None:
        """Set checkpoints to offsets before which Kafka has nothing that the store lacks."""

    async def advance(
        self, spans: Mapping[int, Span], merges: Iterable[MergeResult], reached: Reached | None = None
    ) -> None:
        """Move checkpoints over ``spans``, which ``merges`` applied, and save ``reached``.

        Raises StoreRewound.
        """
