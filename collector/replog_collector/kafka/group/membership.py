"""Membership in the consumer group: a client that joins and leaves it, and what the group assigns to it and revokes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError

from replog.errors import AuthenticationFailed, BrokerUnavailable, StoreUnavailable
from replog.publisher.kafka_client import connected
from replog.telemetry import logger
from replog_collector.kafka.fetch.client import has_ended, stop_consumer
from replog_collector.kafka.group.client_errors import recoverable
from replog_collector.kafka.group.instance_id import InstanceId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiokafka import TopicPartition

    from replog.settings import CollectorSettings
    from replog_collector.kafka.group.assignment import Assignment
    from replog_collector.kafka.group.seeking import Seeking
    from replog_collector.kafka.group.subscription import GroupTimings


class Membership:
    """Joins the group, leaves it, and keeps ``assignment`` as the group has it.

    ``revoking`` is awaited before partitions are given up, and may take as long as a batch in flight. ``assigned`` is
    called with the partitions that this member has from now on, after ``seeking`` has begun them. ``client`` makes the
    consumer of the group.
    """

    def __init__(
        self,
        settings: CollectorSettings,
        assignment: Assignment,
        seeking: Seeking,
        *,
        revoking: Callable[[], Awaitable[None]],
        assigned: Callable[[list[int]], None],
        timings: GroupTimings,
        client: Callable[..., Any],
    ) -> None:
        self._timings = timings
        self._client = client
        self._settings = settings
        self._assignment = assignment
        self._seeking = seeking
        self._revoking = revoking
        self._assigned = assigned
        #: The client; None before the start and after the end.
        self.consumer: Any = None
        #: Whether the consumer is not started, or raised an error that it may repeat for ever.
        self._failed = False
        self._instance_id = InstanceId(settings.kafka_group_id, settings.kafka_group_instance_id)

    async def start(self) -> None:
        """Join the group. Raises AuthenticationFailed, BrokerUnavailable."""
        consumer = self._client(
            self._settings, timings=self._timings, revoked=self._revoked, assigned=self._begin_assigned
        )
        # Partitions may be assigned before the client says that it has started.
        self.consumer, self._failed = consumer, True
        try:
            async with asyncio.timeout(self._timings.answer_s):
                await connected(consumer.start, self._settings)
        except AuthenticationFailed:
            await self.stop()
            raise
        except (KafkaError, TimeoutError) as error:
            await self.stop()
            what = f"no place in the group on topic {self._settings.kafka_topic}, which may not exist"
            raise recoverable(error, self._settings.kafka_bootstrap_servers, what) from error
        self._failed = False

    async def stop(self) -> None:
        """Leave the group and disconnect; commits nothing."""
        consumer, self.consumer = self.consumer, None
        self._assignment.revoke()
        if consumer:
            await stop_consumer(consumer, self._timings.answer_s, waits_to_join=self._instance_id.taken)

    async def replace(self) -> None:
        """Leave with this client, and join with another one. Raises AuthenticationFailed, BrokerUnavailable."""
        # After some errors the client repeats the same one for ever.
        logger().warning("client_replaced")
        await self.stop()
        await self.start()

    @property
    def failed(self) -> bool:
        """Whether the client has to be replaced: none is started, it raised an error, or one of its tasks has ended."""
        return self._failed or self.consumer is None or has_ended(self.consumer)

    def note_failure(self) -> None:
        """Note that the client raised an error that it may repeat for ever."""
        self._failed = True

    @property
    def moving(self) -> bool:
        """Whether a rebalance is under way, and this member waits for its assignment."""
        return self._assignment.partitions is None and not self._instance_id.taken

    @property
    def evicted(self) -> bool:
        """Whether another member has this one's instance id, and this one waits."""
        return self._instance_id.taken

    async def check(self) -> None:
        """Return where the broker answers. Raises BrokerUnavailable, InstanceIdTaken."""
        if not self.consumer or self._failed:
            raise BrokerUnavailable(f"not connected to {self._settings.kafka_bootstrap_servers}")
        self._instance_id.check()
        try:
            await self.consumer.topics()
        except (KafkaError, TimeoutError) as error:
            raise recoverable(error, self._settings.kafka_bootstrap_servers) from error

    async def _revoked(self) -> None:
        # Whatever becomes of the batch in flight: the positions of these partitions are no longer known here.
        try:
            await self._revoking()
        finally:
            self._assignment.revoke()
        # Joining again would evict the other member that has this one's instance id.
        if self.consumer is not None:
            await self._instance_id.wait_until_free(self.consumer)

    async def _begin_assigned(self, partitions: list[TopicPartition]) -> None:
        if self.consumer is None:
            # The client was still joining when it was stopped.
            return
        self._instance_id.joined(self.consumer)
        numbers = frozenset(partition.partition for partition in partitions)
        self._assignment.assign(numbers)
        # Where this fails, the next snapshot tries again.
        with contextlib.suppress(KafkaError, TimeoutError, StoreUnavailable):
            await self._seeking.begin(self.consumer, numbers)
        # The client may have been stopped meanwhile.
        if self._assignment.partitions is numbers:
            self._assigned(sorted(numbers))
