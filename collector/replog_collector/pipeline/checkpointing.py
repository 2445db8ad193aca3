"""The last step of a batch: once it is merged, the store's checkpoints move on, and its offsets are committed to Kafka.

With the checkpoints goes the time up to which the store has everything, also while no events come.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from replog.errors import BrokerUnavailable, StoreRewound
from replog.store.write.offsets import Span
from replog.telemetry import logger
from replog_collector import metrics
from replog_collector.kafka.source import PolledSpan
from replog_collector.pipeline.freshness import Freshness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from replog.store.write.merge_result import MergeResult
    from replog_collector.checkpoint_store import CheckpointStore
    from replog_collector.kafka.source import Source
    from replog_collector.pipeline.retrying import Retrying

#: Seconds between two checkpoints. One is written to every bucket, some 20 KB in all: many times a small batch.
CHECKPOINT_INTERVAL_S = 0.5


class Checkpointing:
    """Writes checkpoints and commits offsets, for several batches at once.

    Where the store has lost writes, the source goes back to the checkpoints instead, after ``rewinding`` is called.
    """

    def __init__(
        self,
        source: Source,
        checkpoints: CheckpointStore,
        retrying: Retrying,
        *,
        rewinding: Callable[[], None],
        checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S,
    ) -> None:
        self._interval_s = checkpoint_interval_s
        self._rewinding = rewinding
        self._source = source
        self._checkpoints = checkpoints
        self._retrying = retrying
        self._freshness = Freshness()
        #: Of batches merged since the last checkpoint.
        self._spans: dict[int, PolledSpan] = {}
        self._merges: list[MergeResult] = []
        self._due_at = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def take(self, spans: Mapping[int, PolledSpan], merges: Sequence[MergeResult] = ()) -> None:
        """Note that a batch of ``spans`` is merged, by ``merges``, and write a checkpoint where one is due.

        Raises:
            StopRequested: a stop came while the store was unavailable.
        """
        async with self._one_at_a_time:
            self._add(spans)
            self._merges += merges
            if asyncio.get_running_loop().time() >= self._due_at:
                await self._write()

    async def finish(self) -> None:
        """Write a checkpoint of all batches that are merged. Raises as :meth:`take`."""
        async with self._one_at_a_time:
            await self._write()

    async def compare(self) -> None:
        """Write a checkpoint, and go back where the store has lost earlier writes. Raises as :meth:`take`."""
        async with self._one_at_a_time:
            await self._write()
            try:
                await self._advance(lambda: {number: Span(at, at) for number, at in self._source.positions.items()})
            except StoreRewound as error:
                await self._rewind(error)

    def _add(self, spans: Mapping[int, PolledSpan]) -> None:
        # A span of another epoch was polled before its partition went back, or was revoked: its events come again.
        positions, epochs, waiting = self._source.positions, self._source.epochs, self._valid_spans()
        for number, (begin, end, epoch) in spans.items():
            reached = waiting[number].end if number in waiting else positions.get(number)
            if epochs.get(number) == epoch and reached is not None and begin <= reached < end:
                self._spans[number] = PolledSpan(positions[number], end, epoch)

    async def _write(self) -> None:
        try:
            await self._advance(
                lambda: {number: Span(begin, end) for number, (begin, end, _) in self._valid_spans().items()}
            )
        except StoreRewound as error:
            await self._rewind(error)
        else:
            await self._commit()
        self._spans, self._merges = {}, []
        self._due_at = asyncio.get_running_loop().time() + self._interval_s

    async def _advance(self, spans: Callable[[], Mapping[int, Span]]) -> None:
        """Move the checkpoints over ``spans``, which each try asks for: partitions may go back between two."""
        if not (first := spans()):
            return
        self._freshness.remember(self._source.snapshot)
        reached = self._freshness.reached(dict(self._source.positions) | {n: span.end for n, span in first.items()})
        await self._retrying(lambda: self._checkpoints.advance(spans(), self._merges, reached))

    def _valid_spans(self) -> dict[int, PolledSpan]:
        """The spans whose partitions have neither gone back nor been revoked since."""
        epochs = self._source.epochs
        return {number: span for number, span in self._spans.items() if epochs.get(number) == span.epoch}

    async def _commit(self) -> None:
        try:
            await self._source.commit({number: span.end for number, span in self._valid_spans().items()})
        except BrokerUnavailable as error:
            # The store has the batch; at worst another member applies it once more.
            logger().warning("commit_failed", error=str(error))

    async def _rewind(self, error: StoreRewound) -> None:
        metrics.STORE_REWINDS.inc()
        left = dict(self._source.positions)
        self._rewinding()
        await self._retrying(self._source.rewind)
        logger().warning("store_rewound", error=str(error), positions=left, begins=dict(self._source.positions))
