"""Delivery of a batch: merge, dead-letter, publish outcomes, count, checkpoint and commit."""

from __future__ import annotations

import time
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from replog.telemetry import logger
from replog_collector import metrics
from replog_collector.kafka.source import Unreadable
from replog_collector.pipeline.merging import Merging

if TYPE_CHECKING:
    from replog.store.write.merge_result import MergeResult
    from replog_collector.event_accounting import EventAccounting
    from replog_collector.kafka.dead_letters import DeadLetters
    from replog_collector.pipeline.batch_tracing import BatchTracing, Step
    from replog_collector.pipeline.checkpointing import Checkpointing
    from replog_collector.pipeline.dead_letter_limit import DeadLetterLimit
    from replog_collector.pipeline.decoding import Decoded
    from replog_collector.pipeline.merging import Store
    from replog_collector.pipeline.outcomes import OutcomePublishing
    from replog_collector.pipeline.retrying import Retrying


class Delivery:
    """Delivers batches, one at a time. ``outcomes`` is None where none are published.

    ``tracing`` records the steps of a batch, and ``accounts`` counts the results of its events.
    """

    def __init__(
        self,
        store: Store,
        checkpointing: Checkpointing,
        dead_letters: DeadLetters,
        limit: DeadLetterLimit,
        outcomes: OutcomePublishing | None,
        *,
        tracing: BatchTracing,
        retrying: Retrying,
        accounts: EventAccounting,
    ) -> None:
        self._tracing = tracing
        self._accounts = accounts
        self._outcomes = outcomes
        self._checkpointing = checkpointing
        self._dead_letters = dead_letters
        self._limit = limit
        self._retrying = retrying
        self._merging = Merging(store, retrying)

    async def deliver(self, decoded: Decoded) -> None:
        """Return once all of ``decoded`` is in the store or dead-lettered, and handed to checkpointing.

        By then the outcomes of its records are published.

        Raises:
            StopRequested: a stop came before that; nothing is committed.
            TooManyDeadLetters: the same, because of the limit.
        """
        if not (decoded.messages or decoded.letters):
            # Only the position moves on, past the end of a transaction.
            await self._checkpointing.take(decoded.spans)
            return
        with self._tracing.batch(decoded) as step:
            await self._deliver(decoded, step)
        metrics.BATCH_SECONDS.observe(time.perf_counter() - decoded.began_s)

    async def _deliver(self, decoded: Decoded, step: Step) -> None:
        with step("merge"):
            results = await self._merging.merge(decoded)
        self._limit.take(decoded.events, len(decoded.letters))
        if decoded.letters:
            with step("dead-letter"):
                await self._dead_letter(decoded)
        if self._outcomes:
            with step("publish outcomes"):
                await self._publish_outcomes(decoded, self._outcomes)
        self._accounts.settle(sum((result.effects for result in results), Counter()), len(decoded.letters))
        _count(decoded, results)
        with step("commit"):
            await self._checkpointing.take(decoded.spans, results)

    async def _dead_letter(self, decoded: Decoded) -> None:
        for message, reason, error in decoded.letters:
            offset = message.offset
            last = message.last if isinstance(message, Unreadable) else offset
            logger().warning(
                "dead_letter", reason=reason, error=error, partition=message.partition, offset=offset, last=last
            )
        await self._retrying(lambda: self._dead_letters.send(decoded.letters))

    async def _publish_outcomes(self, decoded: Decoded, outcomes: OutcomePublishing) -> None:
        # Events of details end no record.
        record_ids = [record_id for record_id, folded in decoded.batch.records.items() if folded.record]
        await self._retrying(lambda: outcomes.publish(record_ids))


def _count(decoded: Decoded, results: list[MergeResult]) -> None:
    for transition in chain.from_iterable(result.transitions for result in results):
        metrics.RECORD_TRANSITIONS.labels(transition.status).inc()
    for reason, count in Counter(letter.reason for letter in decoded.letters).items():
        metrics.DEAD_LETTERS.labels(reason).inc(count)
    metrics.BATCH_EVENTS.observe(decoded.events)
    now_ms = time.time_ns() // 1_000_000
    metrics.EVENT_AGE.observe([message.timestamp for message in decoded.messages], now_ms)
