"""The end of a batch's way: what is merged is marked in the store, and then committed to Kafka.

With the markers goes the time up to which the store has everything, also where no events come.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from replog.errors import BrokerUnavailable, StoreRewound
from replog.store.write.checkpoints import Span
from replog.telemetry import logger
from replog_collector import metrics
from replog_collector.pipeline.freshness import Freshness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from replog.store.write.batch import MergeReceipt
    from replog_collector.checkpoint_store import CheckpointStore
    from replog_collector.kafka.source import Source
    from replog_collector.pipeline.decoding import Decoded
    from replog_collector.pipeline.retrying import Retrying

#: Batches of this time are marked together. Each mark is written in every bucket, some 20 KB in all, which would be
#: many times as much as a small batch itself.
MARK_EVERY_S = 0.5


class Checkpointing:
    """Marks and commits batches, some at a time. Where the store has lost something, the source goes back instead."""

    def __init__(
        self,
        source: Source,
        markers: CheckpointStore,
        retrying: Retrying,
        *,
        rewinding: Callable[[], None],
        mark_every_s: float = MARK_EVERY_S,
    ) -> None:
        self._mark_every_s = mark_every_s
        self._rewinding = rewinding
        self._source = source
        self._checkpoints = markers
        self._retrying = retrying
        self._freshness = Freshness()
        #: Of the batches that are not marked yet.
        self._spans: dict[int, Span] = {}
        self._receipts: list[MergeReceipt] = []
        self._due_at = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def take(self, decoded: Decoded) -> None:
        """Mark a batch that is merged, now or with one of the next.

        Raises:
            StopRequested: a stop came while the store was unavailable.
        """
        async with self._one_at_a_time:
            self._add(decoded)
            if time.monotonic() >= self._due_at:
                await self._mark()

    async def finish(self) -> None:
        """Mark what waits for it. Raises as :meth:`take`."""
        async with self._one_at_a_time:
            await self._mark()

    async def compare(self) -> None:
        """Mark what waits for it, and go back where the store has lost something earlier. Raises as :meth:`take`."""
        async with self._one_at_a_time:
            await self._mark()
            try:
                await self._advance({number: Span(at, at) for number, at in self._source.positions.items()})
            except StoreRewound as error:
                await self._rewind(error)

    def _add(self, decoded: Decoded) -> None:
        # What does not continue what is applied was polled before its partition went back, or was given to another: it
        # comes once more.
        positions = self._source.positions
        for number, (begin, end) in decoded.spans.items():
            waiting = self._spans.get(number)
            first = waiting.begin if waiting and waiting.end == begin else begin
            if positions.get(number) == first:
                self._spans[number] = Span(first, end)
        self._receipts += [batch.receipt for batch in decoded.batches]

    async def _mark(self) -> None:
        spans = self._standing()
        try:
            await self._advance(spans)
        except StoreRewound as error:
            await self._rewind(error)
        else:
            await self._commit()
        self._spans, self._receipts = {}, []
        self._due_at = time.monotonic() + self._mark_every_s

    async def _advance(self, spans: Mapping[int, Span]) -> None:
        if not spans:
            return
        self._freshness.remember(self._source.look)
        reached = self._freshness.reached(dict(self._source.positions) | {n: span.end for n, span in spans.items()})
        await self._retrying(lambda: self._checkpoints.advance(spans, self._receipts, reached))

    def _standing(self) -> dict[int, Span]:
        positions = self._source.positions
        return {number: span for number, span in self._spans.items() if positions.get(number) == span.begin}

    async def _commit(self) -> None:
        try:
            await self._source.commit({number: span.end for number, span in self._standing().items()})
        except BrokerUnavailable as error:
            # The store has it; at worst another member applies it once more.
            logger().warning("commit_failed", error=str(error))

    async def _rewind(self, error: StoreRewound) -> None:
        metrics.STORE_REWINDS.inc()
        left = dict(self._source.positions)
        self._rewinding()
        await self._retrying(self._source.rewind)
        logger().warning("store_rewound", error=str(error), positions=left, begins=dict(self._source.positions))
