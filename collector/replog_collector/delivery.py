"""A batch's way out of the collector: merge, dead-letter, count, move the markers on, commit."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from replog.errors import BrokerUnavailable, StoreRewound
from replog.store.markers import Span
from replog.telemetry import logger
from replog_collector import metrics
from replog_collector.merging import Merging

if TYPE_CHECKING:
    from replog_collector.dead_letters import DeadLetters
    from replog_collector.decoding import Decoded
    from replog_collector.limits import DeadLetterLimit
    from replog_collector.merging import Store
    from replog_collector.retrying import Retrying
    from replog_collector.source import Source
    from replog_collector.store_markers import StoreMarkers


class Delivery:
    """Delivers batches, one after the other."""

    def __init__(
        self,
        source: Source,
        store: Store,
        markers: StoreMarkers,
        dead_letters: DeadLetters,
        limit: DeadLetterLimit,
        *,
        retrying: Retrying,
    ) -> None:
        self._source = source
        self._markers = markers
        self._dead_letters = dead_letters
        self._limit = limit
        self._retrying = retrying
        self._merging = Merging(store, retrying)

    async def deliver(self, decoded: Decoded) -> None:
        """Return once all of ``decoded`` is in the store or dead-lettered, and its offsets are given to be committed.

        Where the store has lost something meanwhile, they are not, and the source goes back to what it has.

        Raises:
            StopRequested: a stop came before that; nothing is committed.
            TooManyDeadLetters: the same, for the limit's sake.
        """
        await self._merging.merge(decoded)
        await self._dead_letter(decoded)
        _count(decoded)
        try:
            await self._advance(decoded)
        except StoreRewound as error:
            await self._rewind(error)
        else:
            await self._commit(decoded)
        metrics.BATCH_SECONDS.observe(time.perf_counter() - decoded.began_s)

    async def compare(self) -> None:
        """Have the source go back where the store has lost something that nothing is merged after.

        Raises:
            StopRequested: a stop came while the store was unavailable.
        """
        left = dict(self._source.positions)
        markers = await self._retrying(lambda: self._markers.read(left.keys()))
        fallen = [number for number, marker in markers.items() if marker is None or marker < left[number]]
        if fallen:
            await self._rewind(StoreRewound(f"the markers of partitions {fallen} stand lower than they were left"))

    async def _dead_letter(self, decoded: Decoded) -> None:
        self._limit.take(decoded.events, len(decoded.letters))
        if not decoded.letters:
            return
        for message, reason, error in decoded.letters:
            logger().warning(
                "dead_letter", reason=reason, error=error, partition=message.partition, offset=message.offset
            )
        await self._retrying(lambda: self._dead_letters.send(decoded.letters))

    async def _advance(self, decoded: Decoded) -> None:
        if spans := self._spans(decoded):
            await self._retrying(lambda: self._markers.advance(spans, decoded.batches))

    async def _rewind(self, error: StoreRewound) -> None:
        metrics.STORE_REWINDS.inc()
        left = dict(self._source.positions)
        await self._retrying(self._source.rewind)
        logger().warning("store_rewound", error=str(error), positions=left, begins=dict(self._source.positions))

    def _spans(self, decoded: Decoded) -> dict[int, Span]:
        """What of ``decoded`` continues what is applied already.

        The rest was polled before its partition went back or was given to another: it comes once more.
        """
        at = self._source.positions
        begins, offsets = decoded.begins, decoded.offsets
        return {number: Span(begin, offsets[number]) for number, begin in begins.items() if at.get(number) == begin}

    async def _commit(self, decoded: Decoded) -> None:
        try:
            await self._source.commit({number: span.end for number, span in self._spans(decoded).items()})
        except BrokerUnavailable as error:
            # The store has the batch; at worst another member applies it once more.
            logger().warning("commit_failed", error=str(error))


def _count(decoded: Decoded) -> None:
    metrics.ACCOUNTS.settle(decoded.effects, len(decoded.letters))
    for reason, count in Counter(letter.reason for letter in decoded.letters).items():
        metrics.DEAD_LETTERS.labels(reason).inc(count)
    metrics.BATCH_EVENTS.observe(decoded.events)
    now_ms = time.time_ns() // 1_000_000
    metrics.EVENT_AGE.observe([message.timestamp for message in decoded.messages], now_ms)
