"""The collector's loop: poll, decode, deliver.

An event's offset is committed only after the store or the dead-letter topic has acknowledged the event and, where
outcomes are published, the outcome of its record. So a collector may end at any point: uncommitted events come again,
and merging them again changes nothing.

At most two batches are in memory: one in flight, and one decoded behind it. While the first is held up, the partitions
are paused and polling goes on, so that the group keeps this member.

Where the store has lost writes that it acknowledged, the partitions go back to its checkpoints. A batch decoded before
that is delivered all the same but not committed: its events come again.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from replog.errors import RecoverableError
from replog.telemetry import logger
from replog_collector import metrics
from replog_collector.backoff import FIRST_BACKOFF_S, Backoff
from replog_collector.pipeline.batch_tracing import UNTRACED
from replog_collector.pipeline.checkpointing import CHECKPOINT_INTERVAL_S, Checkpointing
from replog_collector.pipeline.decoding import decode
from replog_collector.pipeline.delivery import Delivery
from replog_collector.pipeline.in_flight import InFlight
from replog_collector.pipeline.retrying import Retrying, StopRequested

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from replog_collector.checkpoint_store import CheckpointStore
    from replog_collector.event_accounting import EventAccounting
    from replog_collector.health.progress import Progress
    from replog_collector.kafka.dead_letters import DeadLetters
    from replog_collector.kafka.source import Source
    from replog_collector.pipeline.batch_tracing import BatchTracing
    from replog_collector.pipeline.clock_limit import AheadLimit
    from replog_collector.pipeline.dead_letter_limit import DeadLetterLimit
    from replog_collector.pipeline.decoding import Decoded
    from replog_collector.pipeline.merging import Store
    from replog_collector.pipeline.outcomes import OutcomePublishing


@dataclass(frozen=True)
class Timings:
    """Intervals and time limits of the loop, in seconds."""

    #: Greatest time that a poll waits for messages; a stop is noticed within it. Also the interval of polls of paused
    #: partitions, while a batch is held up.
    poll_s: float = 0.5
    #: Time limit of batches in hand when partitions are revoked; the group waits 30 s for its members.
    revoke_s: float = 20.0
    #: Interval of checkpoints.
    checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S
    #: Greatest delay after the first failure of a call.
    first_backoff_s: float = FIRST_BACKOFF_S


_TIMINGS = Timings()


class Collector:
    """One member of the consumer group. ``stop`` may be called from a signal handler.

    ``outcomes`` is None where none are published. ``accounts`` counts events, and ``backoff`` makes delays,
    of which the first is at most so many seconds.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        checkpoints: CheckpointStore,
        dead_letters: DeadLetters,
        limit: DeadLetterLimit,
        *,
        outcomes: OutcomePublishing | None = None,
        ahead: AheadLimit,
        progress: Progress,
        tracing: BatchTracing = UNTRACED,
        timings: Timings = _TIMINGS,
        accounts: EventAccounting = metrics.ACCOUNTS,
        backoff: Callable[[float], Backoff] = Backoff,
    ) -> None:
        self._timings = timings
        self._accounts = accounts
        self._backoff = partial(backoff, timings.first_backoff_s)
        self._source = source
        self._ahead = ahead
        self._progress = progress
        self._stopping = asyncio.Event()
        self._retrying = Retrying(self._stopping, progress, backoff=self._backoff)
        self._checkpointing = Checkpointing(
            source,
            checkpoints,
            self._retrying,
            rewinding=store.renew,
            checkpoint_interval_s=timings.checkpoint_interval_s,
        )
        self._delivery = Delivery(
            store,
            self._checkpointing,
            dead_letters,
            limit,
            outcomes,
            tracing=tracing,
            retrying=self._retrying,
            accounts=accounts,
        )
        self._in_flight = InFlight()
        self._in_hand = 0
        self._ended = False
        self._empty_handed = asyncio.Event()
        self._empty_handed.set()

    def stop(self) -> None:
        """Have :meth:`run` finish the batches in hand and return."""
        self._stopping.set()

    async def finish_batch(self) -> None:
        """Return once no batch is in hand, or :attr:`Timings.revoke_s` are over; called before partitions are given up.

        A batch that is not finished by then is merged later all the same; its events may reach another member too.
        """
        metrics.REBALANCES.inc()
        if self._ended:
            # The last checkpoint was written when the loop ended.
            return
        try:
            async with asyncio.timeout(self._timings.revoke_s):
                await self._empty_handed.wait()
                await self._checkpointing.finish()
        except (TimeoutError, StopRequested):
            logger().warning("batch_unfinished")

    async def run(self, starting: Sequence[Callable[[], Awaitable[None]]] = ()) -> None:
        """Await each of ``starting`` until it succeeds, then collect until :meth:`stop`.

        Returns with all batches in hand committed, or left for the next member.

        Raises:
            FatalError: a person has to change something; batches in hand are left for the next member.
        """
        try:
            with contextlib.suppress(StopRequested):
                for start in starting:
                    await self._retrying(start)
                while not self._stopping.is_set():
                    await self._round()
            with contextlib.suppress(StopRequested):
                await self._in_flight.over()
                await self._checkpointing.finish()
        finally:
            self._ended = True
            self._stopping.set()
            await self._in_flight.end()
            self._empty_handed.set()

    async def _round(self) -> None:
        polled = await self._retrying(lambda: self._source.poll(self._timings.poll_s))
        if polled:
            decoded = decode(polled, self._ahead)
            self._take(decoded)
            # One batch is in flight while the next is decoded: Redis and this process work at the same time.
            await self._room()
            self._in_flight.start(self._deliver(decoded), name="delivery")
            # The event loop has to run once for the batch to leave before decoding keeps it busy.
            await asyncio.sleep(0)
        else:
            await self._compare()
        self._progress.update(self._source.standings(), moving=self._source.moving)

    async def _compare(self) -> None:
        # Where there is nothing to merge, nothing else would show that the store has lost writes.
        if await self._in_flight.over(0):
            self._in_flight.start(self._checkpointing.compare(), name="comparison")

    def _take(self, decoded: Decoded) -> None:
        self._accounts.receive(decoded.events)
        metrics.TOMBSTONES.inc(decoded.tombstones)
        self._in_hand += 1
        self._empty_handed.clear()

    async def _room(self) -> None:
        """Return once no batch is in flight; poll the paused partitions meanwhile."""
        backoff, wait_s = self._backoff(), self._timings.poll_s
        while not await self._in_flight.over(wait_s):
            wait_s = await self._poll_paused(backoff)

    async def _poll_paused(self, backoff: Backoff) -> float:
        """Poll once; returns the seconds until the next poll."""
        try:
            await self._source.poll(0, paused=True)
        except RecoverableError as error:
            return self._retrying.failed(backoff, error)
        backoff.reset()
        self._progress.update(self._source.standings(), moving=self._source.moving)
        return self._timings.poll_s

    async def _deliver(self, decoded: Decoded) -> None:
        self._progress.delivering = True
        try:
            await self._delivery.deliver(decoded)
        finally:
            self._progress.delivering = False
            self._in_hand -= 1
            if not self._in_hand:
                self._empty_handed.set()
