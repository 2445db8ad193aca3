"""The collector's loop: poll, decode, deliver.

An event is committed only after the store has acknowledged it (or the dead-letter topic has), so that a collector
may end at any point: what was not committed comes again, and merging it again changes nothing.

There are never more than two batches in memory: one on its way out, and one decoded behind it. While the first is held
up, the partitions are paused and polling goes on, so that the group keeps this member.

Where the store turns out to have lost what it acknowledged, the partitions go back to what it has. A batch that was
decoded before that is delivered all the same, but not committed: its events come again.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replog.errors import RecoverableError
from replog.telemetry import logger
from replog_collector import metrics
from replog_collector.backoff import FIRST_BACKOFF_S, Backoff
from replog_collector.pipeline.checkpointing import MARK_EVERY_S, Checkpointing
from replog_collector.pipeline.decoding import decode
from replog_collector.pipeline.delivery import Delivery
from replog_collector.pipeline.in_flight import InFlight
from replog_collector.pipeline.retrying import Retrying, StopRequested

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from replog_collector.checkpoint_store import CheckpointStore
    from replog_collector.health.progress import Progress
    from replog_collector.kafka.dead_letters import DeadLetters
    from replog_collector.kafka.source import Source
    from replog_collector.pipeline.clock_limit import AheadLimit
    from replog_collector.pipeline.dead_letter_limit import DeadLetterLimit
    from replog_collector.pipeline.decoding import Decoded
    from replog_collector.pipeline.merging import Store


@dataclass(frozen=True)
class Timings:
    """How long the loop waits for what, in seconds."""

    #: A poll, for messages; a stop is noticed within this time. While a batch is held up, also how often the paused
    #: partitions are polled.
    poll_s: float = 0.5
    #: Batches in hand, when partitions are taken away; the group waits 30 s for its members.
    revoke_s: float = 20.0
    #: Batches that are marked together.
    mark_every_s: float = MARK_EVERY_S
    #: The next try, after a first failure.
    first_backoff_s: float = FIRST_BACKOFF_S


_TIMINGS = Timings()


class Collector:
    """One member of the consumer group. ``stop`` may be called from a signal handler."""

    def __init__(
        self,
        source: Source,
        store: Store,
        markers: CheckpointStore,
        dead_letters: DeadLetters,
        limit: DeadLetterLimit,
        *,
        ahead: AheadLimit,
        progress: Progress,
        timings: Timings = _TIMINGS,
    ) -> None:
        self._timings = timings
        self._source = source
        self._ahead = ahead
        self._progress = progress
        self._stopping = asyncio.Event()
        self._retrying = Retrying(self._stopping, progress, first_backoff_s=timings.first_backoff_s)
        self._checkpointing = Checkpointing(
            source, markers, self._retrying, rewinding=store.renew, mark_every_s=timings.mark_every_s
        )
        self._delivery = Delivery(store, self._checkpointing, dead_letters, limit, retrying=self._retrying)
        self._in_flight = InFlight()
        self._in_hand = 0
        self._ended = False
        self._empty_handed = asyncio.Event()
        self._empty_handed.set()

    def stop(self) -> None:
        """Finish the batches in hand and return from :meth:`run`."""
        self._stopping.set()

    async def finish_batch(self) -> None:
        """Return once no batch is in hand, or the time for that is over; partitions are about to be given up.

        A batch that is not finished is merged all the same when that can be; its events may come to another member too.
        """
        metrics.REBALANCES.inc()
        if self._ended:
            # What could be marked is.
            return
        try:
            async with asyncio.timeout(self._timings.revoke_s):
                await self._empty_handed.wait()
                await self._checkpointing.finish()
        except (TimeoutError, StopRequested):
            logger().warning("batch_unfinished")

    async def run(self, starting: Sequence[Callable[[], Awaitable[None]]] = ()) -> None:
        """Bring up what is ``starting``, each until it succeeds, then collect until :meth:`stop`.

        Returns with everything in hand committed, or left for the next member.

        Raises:
            FatalError: a person has to change something; what is in hand is left for the next member.
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
            # One batch is on its way while the next is decoded: Redis and this process work at the same time.
            await self._room()
            self._in_flight.start(self._deliver(decoded), name="delivery")
            # The event loop must come round for the batch to leave before decoding keeps it busy.
            await asyncio.sleep(0)
        else:
            await self._compare()
        self._progress.update(self._source.standings(), moving=self._source.moving)

    async def _compare(self) -> None:
        # Where there is nothing to merge, nothing else would tell that the store has lost something.
        if await self._in_flight.over(0):
            self._in_flight.start(self._checkpointing.compare(), name="comparison")

    def _take(self, decoded: Decoded) -> None:
        metrics.ACCOUNTS.receive(decoded.events)
        self._in_hand += 1
        self._empty_handed.clear()

    async def _room(self) -> None:
        """Return once nothing is on its way; meanwhile the paused partitions are polled."""
        backoff, wait_s = Backoff(self._timings.first_backoff_s), self._timings.poll_s
        while not await self._in_flight.over(wait_s):
            wait_s = await self._poll_paused(backoff)

    async def _poll_paused(self, backoff: Backoff) -> float:
        """Poll once, and return after how many seconds to do so again."""
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
