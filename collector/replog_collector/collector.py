"""The collector's loop: poll, decode and fold, merge, dead-letter, commit.

An event is committed only after the store has acknowledged it (or the dead-letter topic has), so that a collector
may end at any point: what was not committed comes again, and merging it again changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

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
        self._in_flight: asyncio.Future[None] | None = None
        self._log = logger()

    def stop(self) -> None:
        """Finish the batch in hand and return from :meth:`run`."""
        self._stopping.set()

    async def finish_batch(self) -> None:
        """Return once no batch is in flight; partitions are about to be given up."""
        metrics.REBALANCES.inc()
        if self._in_flight:
            await asyncio.wait([self._in_flight])

    async def run(self, starting: Sequence[Callable[[], Awaitable[None]]] = ()) -> None:
        """Bring up what is ``starting``, each until it succeeds, then collect until :meth:`stop`.

        Returns with everything in hand committed, or left for the next member.
        """
        for start in starting:
            await self._retried(start)
        while not self._stopping.is_set():
            messages = await self._retried(lambda: self._source.poll(POLL_S))
            if messages:
                await self._send_on(_decode(messages))
            self._progress.update(self._source.standings())
        await self._landed()

    async def _send_on(self, decoded: _Decoded) -> None:
        # One batch is in flight while the next is decoded: Redis and this process work at the same time.
        await self._landed()
        self._in_flight = asyncio.ensure_future(self._deliver(decoded))
        # The event loop must come round for the batch to leave before decoding keeps it busy.
        await asyncio.sleep(0)

    async def _landed(self) -> None:
        if self._in_flight:
            await self._in_flight

    async def _deliver(self, decoded: _Decoded) -> None:
        """Merge, dead-letter, commit; nothing is committed where a stop comes before the first two are done."""
        merged = await self._retried(lambda: self._done(self._store.merge(decoded.batch)))
        if not (merged and await self._dead_letter(decoded.letters)):
            return
        await self._commit(decoded.messages)
        _measure(decoded)

    async def _dead_letter(self, letters: list[DeadLetter]) -> bool:
        for letter in letters:
            self._log.warning(
                "dead_letter",
                reason=letter.error.reason,
                error=str(letter.error),
                partition=letter.message.partition,
                offset=letter.message.offset,
            )
        if not letters:
            return True
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


class _Decoded(NamedTuple):
    """Messages as they came, what they say, and those that say nothing valid."""

    messages: Sequence[Message]
    batch: Batch
    letters: list[DeadLetter]
    began: float


def _decode(messages: Sequence[Message]) -> _Decoded:
    decoded = _Decoded(messages, Batch(), [], time.perf_counter())
    for message in messages:
        if message.value is None:
            metrics.TOMBSTONES.inc()
            continue
        try:
            decoded.batch.add(parse(message.value))
        except InvalidEventError as error:
            decoded.letters.append(DeadLetter(message, error))
    return decoded


def _measure(decoded: _Decoded) -> None:
    for (event_type, effect), count in decoded.batch.effects.items():
        metrics.EVENTS.labels(event_type, effect.name.lower()).inc(count)
    for reason, count in Counter(letter.error.reason for letter in decoded.letters).items():
        metrics.DEAD_LETTERS.labels(reason).inc(count)
        metrics.EVENTS.labels("unknown", "invalid").inc(count)
    metrics.BATCH_EVENTS.observe(len(decoded.batch) + len(decoded.letters))
    metrics.BATCH_SECONDS.observe(time.perf_counter() - decoded.began)
    now_ms = time.time_ns() // 1_000_000
    metrics.EVENT_AGE.observe([message.timestamp for message in decoded.messages], now_ms)
