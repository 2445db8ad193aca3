"""The collector's loop: poll, decode and fold, merge, dead-letter, commit.

An event is committed only after the store has acknowledged it (or the dead-letter topic has), so that a collector
may end at any point: what was not committed comes again, and merging it again changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from replog.errors import BrokerUnavailable, InvalidEventError, RecoverableError, StoreUnavailable
from replog.events import parse
from replog.store.batch import Batch
from replog.telemetry import logger
from replog_collector import metrics
from replog_collector.backoff import Backoff
from replog_collector.dead_letters import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from replog_collector.dead_letters import DeadLetters
    from replog_collector.progress import Progress
    from replog_collector.source import Message, Source

#: How long a poll waits for messages; a stop is noticed within this time.
POLL_S = 0.5


class Store(Protocol):
    """Where batches go."""

    async def merge(self, batch: Batch) -> None:
        """Merge ``batch`` and complete its effects. Raises StoreUnavailable: merge it again."""


class Collector:
    """One member of the consumer group. ``stop`` may be called from a signal handler."""

    def __init__(self, source: Source, store: Store, dead_letters: DeadLetters, progress: Progress) -> None:
        self._source = source
        self._store = store
        self._dead_letters = dead_letters
        self._progress = progress
        self._stopping = asyncio.Event()
        self._batch_in_hand = asyncio.Lock()
        self._log = logger()

    def stop(self) -> None:
        """Finish the batch in hand and return from :meth:`run`."""
        self._stopping.set()

    async def finish_batch(self) -> None:
        """Return once no batch is in hand; partitions are about to be given up."""
        metrics.REBALANCES.inc()
        async with self._batch_in_hand:
            pass

    async def run(self, starting: Sequence[Callable[[], Awaitable[None]]] = ()) -> None:
        """Bring up what is ``starting``, each until it succeeds, then collect until :meth:`stop`.

        Returns with everything in hand committed, or left for the next member.
        """
        for start in starting:
            await self._retried(start)
        while not self._stopping.is_set():
            messages = await self._retried(lambda: self._source.poll(POLL_S))
            if messages:
                async with self._batch_in_hand:
                    await self._handle(messages)
            self._progress.update(self._source.standings())

    async def _handle(self, messages: Sequence[Message]) -> None:
        began = time.perf_counter()
        batch, letters = _decode(messages)
        if not await self._deliver(batch, letters):
            return
        await self._commit(messages)
        _measure(messages, batch, letters)
        metrics.BATCH_SECONDS.observe(time.perf_counter() - began)

    async def _deliver(self, batch: Batch, letters: list[DeadLetter]) -> bool:
        """Merge and dead-letter; False where a stop came first, and then nothing may be committed."""
        if await self._retried(lambda: self._done(self._store.merge(batch))) is None:
            return False
        if not letters:
            return True
        for letter in letters:
            self._log.warning(
                "dead_letter",
                reason=letter.error.reason,
                error=str(letter.error),
                partition=letter.message.partition,
                offset=letter.message.offset,
            )
        return await self._retried(lambda: self._done(self._dead_letters.send(letters))) is not None

    @staticmethod
    async def _done(call: Awaitable[None]) -> bool:
        await call
        return True

    async def _commit(self, messages: Sequence[Message]) -> None:
        offsets = {message.partition: message.offset + 1 for message in messages}
        try:
            await self._source.commit(offsets)
        except BrokerUnavailable as error:
            # The store has the batch; at worst another member applies it once more.
            self._log.warning("commit_failed", error=str(error))

    async def _retried(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """The answer of ``call``, tried until it succeeds; None where a stop comes while it fails."""
        backoff = Backoff()
        while not self._stopping.is_set() or not backoff.failures:
            try:
                answer = await call()
            except RecoverableError as error:
                await self._back_off(backoff, error)
            else:
                if backoff.reset():
                    self._log.info("recovered")
                return answer
        return None

    async def _back_off(self, backoff: Backoff, error: RecoverableError) -> None:
        if isinstance(error, StoreUnavailable):
            metrics.STORE_ERRORS.labels(error.kind).inc()
        self._progress.excuse()
        delay_s = backoff.next_s()
        self._log.warning("backing_off", delay_s=round(delay_s, 3), error=str(error))
        try:
            await asyncio.wait_for(self._stopping.wait(), delay_s)
        except TimeoutError:
            return


def _decode(messages: Sequence[Message]) -> tuple[Batch, list[DeadLetter]]:
    batch, letters = Batch(), list[DeadLetter]()
    for message in messages:
        if message.value is None:
            metrics.TOMBSTONES.inc()
            continue
        try:
            batch.add(parse(message.value))
        except InvalidEventError as error:
            letters.append(DeadLetter(message, error))
    return batch, letters


def _measure(messages: Sequence[Message], batch: Batch, letters: Sequence[DeadLetter]) -> None:
    for (event_type, effect), count in batch.effects.items():
        metrics.EVENTS.labels(event_type, effect.name.lower()).inc(count)
    for reason, count in Counter(letter.error.reason for letter in letters).items():
        metrics.DEAD_LETTERS.labels(reason).inc(count)
        metrics.EVENTS.labels("unknown", "invalid").inc(count)
    metrics.BATCH_EVENTS.observe(len(batch) + len(letters))
    now_ms = time.time() * 1000
    for message in messages:
        metrics.EVENT_AGE.observe(max(0.0, now_ms - message.timestamp) / 1000)
