"""The port to the markers: up to which offset of each partition the store has everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from replog.store.write.merge_result import MergeReceipt
    from replog.store.write.offsets import Reached, Span


class CheckpointStore(Protocol):
    """As :class:`replog.store.write.checkpoints.Checkpoints`. Every method raises StoreUnavailable."""

    async def read(self, partitions: Collection[int]) -> dict[int, int | None]:
        """By partition: the offset before which the store has everything; None where it does not know."""

    async def begin(self, positions: Mapping[int, int]) -> None:
        """Set markers to offsets before which there is nothing that the store could still get from Kafka."""

    async def advance(
        self, spans: Mapping[int, Span], receipts: Iterable[MergeReceipt], reached: Reached | None = None
    ) -> None:
        """Take ``spans`` for applied, by the batches of ``receipts``, and then ``reached``. Raises StoreRewound."""
