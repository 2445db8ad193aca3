"""How the Kafka client of a collector is set up."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import LeaderNotAvailableError, NoError, for_code
from aiokafka.protocol.offset import OffsetRequest

from replog.cancellation import cancel_and_wait
from replog.publisher.kafka import client_options
from replog_collector.kafka.fetching import SafeConsumer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from replog.settings import CollectorSettings

#: Bytes fetched ahead from each partition.
_FETCH_BYTES = 4 * 1024 * 1024
#: A topic or partition that appears while the collector runs is found within this time.
_METADATA_AGE_MS = 10_000
#: A member with a name of its own is waited for this long while it is started again.
_STATIC_SESSION_MS = 45_000
#: How long the group waits for its members when partitions move.
REBALANCE_MS = 30_000
#: How long the tasks of a client that is given up may take to end.
_CANCEL_S = 1.0
#: What Kafka's ListOffsets request calls any consumer, messages of open transactions too, and the end of a partition.
_ANY_CONSUMER, _READ_UNCOMMITTED, _LATEST = -1, 0, -1


@dataclass(frozen=True)
class GroupTimings:
    """How long the members of a group and their broker wait for each other."""

    #: A member that was not heard of for this long is taken for dead, and its partitions go to others.
    session_ms: int = 10_000
    #: What a member asks of the group has to be answered within this time.
    answer_s: float = 10.0


def subscribed_consumer(
    settings: CollectorSettings,
    *,
    timings: GroupTimings,
    revoked: Callable[[], Awaitable[None]],
    assigned: Callable[[list[TopicPartition]], Awaitable[None]],
) -> Any:
    """A client that is not started yet, a member of the group on the topic of events. It commits nothing by itself.

    ``revoked`` is awaited before partitions are given up, ``assigned`` with those that the member has from now on; it
    has to say of each where to begin.

    Raises:
        SettingsError: credentials are missing, or a certificate file cannot be read.
    """
    static = settings.kafka_group_instance_id
    consumer: Any = SafeConsumer(
        max_batch_bytes=settings.max_batch_bytes,
        group_id=settings.kafka_group_id,
        group_instance_id=static,
        session_timeout_ms=_STATIC_SESSION_MS if static else timings.session_ms,
        rebalance_timeout_ms=REBALANCE_MS,
        enable_auto_commit=False,
        # What is aborted does not count, nor does what is not committed yet.
        isolation_level="read_committed",
        # Where to begin is decided and counted by who assigns.
        auto_offset_reset="none",
        max_partition_fetch_bytes=_FETCH_BYTES,
        metadata_max_age_ms=_METADATA_AGE_MS,
        **client_options(settings),
    )
    consumer.subscribe([settings.kafka_topic], listener=_Listener(revoked, assigned))
    return consumer


def has_ended(consumer: Any) -> bool:
    """Whether one of the tasks that a started client lives by has ended.

    It does not begin again, and what it did stands still for ever: fetching, learning of new leaders, keeping the place
    in the group. Not each of that is told by an error.
    """
    return any(task.done() for task in _tasks(consumer))


async def high_watermarks(consumer: Any, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """The offsets behind the last messages of ``partitions``, asked of their leaders now.

    Those of open transactions count. ``end_offsets`` of a client that reads only what is committed stops before them.

    Raises:
        KafkaError: a leader is not known or does not answer, or is none any more.
    """
    client = consumer._client  # noqa: SLF001 - nothing public asks for them
    led = defaultdict(list)
    for partition in partitions:
        led[client.cluster.leader_for_partition(partition)].append(partition)
    found: dict[TopicPartition, int] = {}
    for leader, theirs in led.items():
        if leader in (None, -1):
            raise LeaderNotAvailableError(theirs)
        topics = [(partition.topic, [(partition.partition, _LATEST)]) for partition in theirs]
        answer = await client.send(leader, OffsetRequest(_ANY_CONSUMER, _READ_UNCOMMITTED, topics))
        for topic, offsets in answer.topics:
            for number, error_code, *_, offset in offsets:
                found[TopicPartition(topic, number)] = _checked(offset, for_code(error_code))
    return found


def _checked(offset: int, error: type[Exception]) -> int:
    if error is not NoError:
        raise error
    return offset


async def stop_consumer(consumer: Any, timeout_s: float, *, waits_to_join: bool = False) -> None:
    """Leave the group and disconnect; where the broker does not answer within ``timeout_s``, disconnect.

    One that ``waits_to_join`` in its listener does not join any more.
    """
    if waits_to_join:
        await cancel_and_wait([consumer._coordinator._coordination_task], timeout_s=_CANCEL_S)  # noqa: SLF001
    stopping = asyncio.create_task(consumer.stop(), name="consumer-stop")
    try:
        await asyncio.wait([stopping], timeout=timeout_s)
    finally:
        # A client of which something has failed raises that again. Whatever it is: nobody asks this one any more.
        if not stopping.done() or stopping.cancelled() or stopping.exception():
            await _give_up(consumer, stopping)


async def _give_up(consumer: Any, stopping: asyncio.Task[None]) -> None:
    # The broker misses the member by itself. aiokafka has no public way to give up: what stop() did not come to would
    # go on fetching for as long as the process lives, beside the client that takes its place.
    await cancel_and_wait([stopping, *_tasks(consumer)], timeout_s=_CANCEL_S)
    closing = [part.close() for part in (consumer._fetcher, consumer._client) if part]  # noqa: SLF001
    await asyncio.gather(*closing, return_exceptions=True)


def _tasks(consumer: Any) -> list[asyncio.Task[None]]:
    """The tasks that a client lives by, of those parts that it has."""
    parts = (
        (consumer._client, "_sync_task"),  # noqa: SLF001
        (consumer._fetcher, "_fetch_task"),  # noqa: SLF001
        (consumer._coordinator, "_coordination_task"),  # noqa: SLF001
    )
    return [task for part, name in parts if part and (task := getattr(part, name))]


class _Listener(ConsumerRebalanceListener):
    def __init__(
        self,
        revoked: Callable[[], Awaitable[None]],
        assigned: Callable[[list[TopicPartition]], Awaitable[None]],
    ) -> None:
        self._revoked = revoked
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._revoked()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        await self._assigned(sorted(assigned))
