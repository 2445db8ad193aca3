"""Faults that this project once had, or could have: each put back into the product's parts, for the simulator to find.

Each is what the code would do without the care that it takes; nothing else is changed.
"""

from __future__ import annotations

import asyncio
import contextlib
from itertools import repeat
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError

from replog.errors import StoreUnavailable
from replog.store.write.checkpoints import Checkpoints
from replog.store.write.offsets import Span
from replog.store.write.writer import Writer
from replog_api.http.as_of import AsOf, Freshness, header_of
from replog_collector.collector import Collector
from replog_collector.kafka.group.consumer import KafkaSource
from replog_collector.kafka.offsets.positions import Positions
from replog_collector.periodic_task import PeriodicTask
from replog_collector.pipeline.delivery import Delivery
from replog_collector.pipeline.in_flight import InFlight
from tests.simulation.collector_process import CollectorParts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from replog.store.write.batch import MergeableBatch
    from replog.store.write.merge_result import MergeResult
    from replog.store.write.offsets import Reached
    from replog_collector.kafka.source import TopicSnapshot
    from replog_collector.pipeline.decoding import Decoded


class _Abandoning(InFlight):
    async def end(self) -> None:
        self._task = None


class _OrphanedDelivery(CollectorParts):
    """A delivery outlives the loop that started it."""

    class collector(Collector):  # noqa: N801 - the name of the part
        def __init__(self, *parts: Any, **options: Any) -> None:
            super().__init__(*parts, **options)
            self._in_flight = _Abandoning()


class _StickingFlag(CollectorParts):
    """A read of the time that fails leaves the flag set which says that one is under way."""

    class freshness(Freshness):  # noqa: N801
        async def _read(self) -> None:
            try:
                await self._read_once()
            except StoreUnavailable:
                self.doubt()
            else:
                self._reading = None


class _CommittedFirst(Delivery):
    async def deliver(self, decoded: Decoded) -> None:
        await self._checkpointing._source.commit({number: span.end for number, span in decoded.spans.items()})
        await super().deliver(decoded)


class _CommitBeforeAcknowledgement(CollectorParts):
    """Offsets are committed before the store has acknowledged their events."""

    class collector(Collector):  # noqa: N801
        def __init__(self, *parts: Any, **options: Any) -> None:
            super().__init__(*parts, **options)
            self._delivery.__class__ = _CommittedFirst


class _CheckpointedFirst(Delivery):
    async def deliver(self, decoded: Decoded) -> None:
        await self._checkpointing.take(decoded.spans)
        await super().deliver(decoded)


class _CheckpointBeforeMerge(CollectorParts):
    """Checkpoints move on before the batch is merged."""

    class collector(Collector):  # noqa: N801
        def __init__(self, *parts: Any, **options: Any) -> None:
            super().__init__(*parts, **options)
            self._delivery.__class__ = _CheckpointedFirst


class _CallsNotNoted(CollectorParts):
    """The checkpoints do not learn which calls a merge made: what a server lost of them goes unnoticed."""

    class writer(Writer):  # noqa: N801
        async def merge(self, batch: MergeableBatch) -> MergeResult:
            return (await super().merge(batch))._replace(calls={})


class _PartitionForgotten(CollectorParts):
    """Going back to the checkpoints leaves out one of several partitions."""

    class source(KafkaSource):  # noqa: N801
        async def rewind(self) -> None:
            every = sorted(self._assignment.numbers)
            await self._seeking.begin(self._membership.consumer, every[:-1] if len(every) > 1 else every)


class _OldLookTrusted(CollectorParts):
    """The time that was read last is sent also after the store failed or was started anew."""

    class freshness(Freshness):  # noqa: N801
        def ms(self, as_of: AsOf) -> int:
            return max(as_of.ms, self.known.ms)

        async def _read_once(self) -> None:
            begun_s = self._clock()
            ms = max(self.known.ms, await self._read_ms())
            self.known = AsOf(header_of(ms), ms, self._store.epoch)
            self._begun_s = begun_s


class _OldSnapshotTrusted(CollectorParts):
    """The end of a partition counts as of when the answer comes, not as of when it was asked for."""

    class source(KafkaSource):  # noqa: N801
        @property
        def snapshot(self) -> TopicSnapshot | None:
            found = super().snapshot
            return found and type(found)(self._snapshots._clock() // 1_000_000, found.partitions, found.ends)


class _ZombieCommits(CollectorParts):
    """A member that loses its partitions commits what it has polled of them, while its batches are in hand."""

    class source(KafkaSource):  # noqa: N801
        def __init__(self, *parts: Any, revoking: Callable[[], Awaitable[None]], **options: Any) -> None:
            async def commit_first() -> None:
                positions = self._assignment.positions
                positions.apply(dict(positions._polled))
                with contextlib.suppress(KafkaError, TimeoutError):
                    await self._commit()
                await revoking()

            super().__init__(*parts, revoking=commit_first, **options)


class _CancelledOnce(CollectorParts):
    """A task is cancelled once and then awaited for ever, though its driver swallows a cancellation."""

    class periodic(PeriodicTask):  # noqa: N801
        async def __aexit__(self, *_: object) -> None:
            if self._task:
                self._task.cancel()
                await asyncio.wait([self._task])


class _PlaceNotChecked(CollectorParts):
    """Checkpoints move on from wherever they stand, also from before what the batch begins with."""

    class checkpoints(Checkpoints):  # noqa: N801
        async def advance(
            self, spans: Mapping[int, Span], merges: Iterable[MergeResult], reached: Reached | None = None
        ) -> None:
            anywhere = {number: Span(0, span.end) for number, span in spans.items()}
            await super().advance(anywhere, merges, reached)


class _FormerTopicCounts(CollectorParts):
    """What was polled of a topic that was there before counts for the one that was made anew."""

    class source(KafkaSource):  # noqa: N801
        def __init__(self, *parts: Any, **options: Any) -> None:
            super().__init__(*parts, **options)
            self._assignment._epochs = repeat(0)
            self._assignment.positions = Positions(self._assignment._epochs)


#: The faults by their names in the documentation.
FAULTS: dict[str, type[CollectorParts]] = {
    "orphaned delivery": _OrphanedDelivery,
    "sticking flag": _StickingFlag,
    "commit before the acknowledgement": _CommitBeforeAcknowledgement,
    "checkpoints moved before the merge": _CheckpointBeforeMerge,
    "note of calls dropped": _CallsNotNoted,
    "rewind that forgets one partition": _PartitionForgotten,
    "freshness that trusts an old look": _OldLookTrusted,
    "end of a partition dated too late": _OldSnapshotTrusted,
    "zombie that commits": _ZombieCommits,
    "checkpoint without a look where it stood": _PlaceNotChecked,
    "one cancel awaited for ever": _CancelledOnce,
    "messages of a former topic": _FormerTopicCounts,
}
