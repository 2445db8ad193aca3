"""The step of a batch that publishes outcomes: what the merge noted in the outbox goes to the outcomes topic.

It comes after the merge and before the commit, and looks at the outbox itself, not at what the merge answered. So it
also finds what a lost answer would have said, and what another collector merged and did not publish before it died: its
batch was not committed, and comes here again. At worst something is published twice.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from replog.outcomes import outcome_event
from replog.records import outcome_of
from replog.store.format.keys import BUCKETS, bucket_of
from replog.store.write.outbox import buckets_from
from replog_collector import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cloudevents.core.base import BaseCloudEvent

    from replog.store.write.outbox import OutboxEntry

#: Age in seconds from which an entry counts as left behind: the collector that noted it would have published it.
LEFT_AFTER_S = 60.0


class OutboxStore(Protocol):
    """The port to the outbox: :class:`replog.store.write.outbox.Outbox`. Every method raises StoreUnavailable."""

    #: Most entries of a bucket that one call returns. Fewer are the last ones.
    page: int

    async def read(self, after: Mapping[int, bytes]) -> list[OutboxEntry]:
        """The next entries of some buckets, each behind a member of it."""

    async def remove(self, entries: Iterable[OutboxEntry]) -> None:
        """Remove exactly these entries."""

    async def size(self) -> int:
        """The number of entries in all buckets."""


class OutcomeSink(Protocol):
    """The port to the topic: :class:`replog_collector.kafka.produce.outcome_topic.OutcomeTopic`."""

    async def send(self, events: Sequence[BaseCloudEvent]) -> None:
        """Return once all ``events`` are acknowledged, in order for each key. Raises BrokerUnavailable."""


class OutcomePublishing:
    """Publishes entries of the outbox, and removes them; one caller at a time.

    ``source`` is that of the events. Every method raises StoreUnavailable and BrokerUnavailable; call it again.
    """

    def __init__(
        self,
        outbox: OutboxStore,
        topic: OutcomeSink,
        *,
        source: str,
        clock: Callable[[], float] = time.time,
        left_after_s: float = LEFT_AFTER_S,
    ) -> None:
        self._outbox = outbox
        self._topic = topic
        self._source = source
        self._clock = clock
        self._left_after_s = left_after_s
        self._one_at_a_time = asyncio.Lock()

    async def publish(self, record_ids: Iterable[str]) -> None:
        """Return once every outcome is published that the store has noted of these records."""
        await self._empty({bucket_of(record_id) for record_id in record_ids})

    async def publish_left(self) -> None:
        """Publish what was left behind, of any record.

        A failover of Redis may bring back what was removed, and collectors that publish no outcomes remove nothing.
        """
        await self._empty(range(BUCKETS), noted_until_ms=(self._clock() - self._left_after_s) * 1000)

    async def waiting(self) -> int:
        """The number of outcomes that are not published yet, those of batches in hand included."""
        return await self._outbox.size()

    async def _empty(self, buckets: Iterable[int], *, noted_until_ms: float = float("inf")) -> None:
        async with self._one_at_a_time:
            after = buckets_from(buckets)
            while after:
                entries = await self._outbox.read(after)
                await self._publish([entry for entry in entries if entry.noted_ms <= noted_until_ms])
                counts = Counter(entry.bucket for entry in entries)
                # A bucket's entries come in order: the last one of each stays here.
                after = {entry.bucket: entry.member for entry in entries if counts[entry.bucket] == self._outbox.page}

    async def _publish(self, entries: Sequence[OutboxEntry]) -> None:
        if not entries:
            return
        await self._topic.send([self._event(entry) for entry in entries])
        await self._outbox.remove(entries)
        for entry in entries:
            metrics.OUTCOMES_PUBLISHED.labels(outcome_of(entry.record.outcome)[0]).inc()

    def _event(self, entry: OutboxEntry) -> BaseCloudEvent:
        record = entry.record
        return outcome_event(record.record_id, record.read_raw(), record.outcome, source=self._source)
