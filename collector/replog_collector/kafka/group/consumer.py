"""The edge to Kafka: a member of the consumer group, with its polls, commits and rebalances."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from replog.errors import RecoverableError
from replog_collector.kafka.group.assignment import Assignment
from replog_collector.kafka.group.client_errors import recoverable
from replog_collector.kafka.group.membership import Membership
from replog_collector.kafka.group.polling import Polling
from replog_collector.kafka.group.seeking import Seeking
from replog_collector.kafka.group.subscription import GroupTimings, subscribed_consumer
from replog_collector.kafka.group.topic_snapshots import TopicSnapshots
from replog_collector.kafka.offsets.start_offsets import StartOffsets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from replog.settings import CollectorSettings
    from replog_collector.checkpoint_store import CheckpointStore
    from replog_collector.kafka.source import Polled, Standing, TopicSnapshot

_TIMINGS = GroupTimings()


class KafkaSource:
    """:class:`~replog_collector.kafka.source.Source` on a Kafka topic.

    ``revoking`` is awaited before partitions are given up, and may take as long as a batch in flight. ``assigned`` is
    called with the partitions that this member has from now on. ``client`` makes the consumer of the group. ``clock``
    gives nanoseconds since 1970.
    """

    def __init__(
        self,
        settings: CollectorSettings,
        checkpoints: CheckpointStore,
        *,
        revoking: Callable[[], Awaitable[None]],
        assigned: Callable[[list[int]], None],
        timings: GroupTimings = _TIMINGS,
        client: Callable[..., Any] = subscribed_consumer,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._timings = timings
        self._servers = settings.kafka_bootstrap_servers
        self._topic = settings.kafka_topic
        self._assignment = Assignment()
        self._seeking = Seeking(self._topic, self._assignment, StartOffsets(checkpoints))
        self._membership = Membership(
            settings,
            self._assignment,
            self._seeking,
            revoking=revoking,
            assigned=assigned,
            timings=timings,
            client=client,
        )
        self._polling = Polling(settings, self._assignment, self._membership, self._seeking)
        self._snapshots = TopicSnapshots(self._topic, self._assignment, self._membership, clock)
        #: The error of the last snapshot; None where the broker and the store answered.
        self._snapshot_error: BaseException | None = None

    async def start(self) -> None:
        """Join the group. Raises AuthenticationFailed, BrokerUnavailable."""
        await self._membership.start()

    async def stop(self) -> None:
        """Leave the group and disconnect; commits nothing."""
        await self._membership.stop()

    @property
    def positions(self) -> Mapping[int, int]:
        """The offset of the next message to apply, by assigned partition whose start is known."""
        return self._assignment.applied

    @property
    def epochs(self) -> Mapping[int, int]:
        """The epochs of the partitions in :attr:`positions`."""
        return self._assignment.epochs

    @property
    def moving(self) -> bool:
        """Whether a rebalance is under way, and this member waits for its assignment."""
        return self._membership.moving

    @property
    def snapshot(self) -> TopicSnapshot | None:
        """The last snapshot of the topic; None before the first."""
        return self._assignment.snapshot

    async def poll(self, timeout_s: float, *, paused: bool = False) -> Polled:
        """The next messages, at most as many as one batch holds. Raises BrokerUnavailable, StoreUnavailable.

        A client that has failed is replaced first.
        """
        if self._membership.failed:
            await self._membership.replace()
        polled = await self._polling.poll(timeout_s, paused=paused)
        if self._snapshots.due:
            await self._take_snapshot()
        if not polled and self._snapshot_error:
            raise recoverable(self._snapshot_error, self._servers)
        return polled

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit ``offsets`` by partition, of those still assigned, and never back. Raises BrokerUnavailable.

        What could not be committed is committed with the next snapshot.
        """
        mine = self._assignment.numbers
        self._assignment.positions.apply({number: offset for number, offset in offsets.items() if number in mine})
        try:
            await self._commit()
        except (KafkaError, TimeoutError) as error:
            raise recoverable(error, self._servers) from error

    async def rewind(self) -> None:
        """Go back with every assigned partition to its checkpoint. Raises BrokerUnavailable, StoreUnavailable."""
        try:
            await self._seeking.begin(self._membership.consumer, self._assignment.numbers)
        except (KafkaError, TimeoutError) as error:
            raise recoverable(error, self._servers) from error

    async def check(self) -> None:
        """Return where the broker answers. Raises BrokerUnavailable, InstanceIdTaken."""
        await self._membership.check()

    def standings(self) -> dict[int, Standing]:
        """Position and end of assigned partitions of which both are known."""
        return self._assignment.standings()

    async def _take_snapshot(self) -> None:
        # With it, what failed before is tried again: the start of partitions, and commits.
        try:
            await self._snapshots.take()
            unknown = self._assignment.numbers - self._assignment.positions.applied.keys()
            await self._seeking.begin(self._membership.consumer, unknown)
            await self._commit()
        except (KafkaError, TimeoutError, RecoverableError) as error:
            self._snapshot_error = error
        else:
            self._snapshot_error = None

    async def _commit(self) -> None:
        sent = self._assignment.uncommitted
        if not sent:
            return
        async with asyncio.timeout(self._timings.answer_s):
            await self._membership.consumer.commit(
                {TopicPartition(self._topic, number): at for number, at in sent.items()}
            )
        self._assignment.positions.commit(sent)
