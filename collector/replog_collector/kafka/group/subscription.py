"""The consumer group as the Kafka client joins it: its time limits, and the client that is a member."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka import ConsumerRebalanceListener, TopicPartition

from replog_collector.kafka.fetch.client import fetching_consumer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from replog.settings import CollectorSettings

#: Time without a heartbeat after which a static member's partitions go to others: it has time to be restarted.
_STATIC_SESSION_MS = 45_000
#: How long the group waits for its members in a rebalance.
_REBALANCE_MS = 30_000
#: Seconds that the broker may take to answer what a member asks while it polls.
BROKER_ANSWER_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class GroupTimings:
    """Time limits between the members of a group and their broker."""

    #: Time without a heartbeat after which a member's partitions go to others, in milliseconds.
    session_ms: int = 10_000
    #: Seconds that joining, leaving and committing may take. The client retries these by itself without end.
    answer_s: float = 10.0


def subscribed_consumer(
    settings: CollectorSettings,
    *,
    timings: GroupTimings,
    revoked: Callable[[], Awaitable[None]],
    assigned: Callable[[list[TopicPartition]], Awaitable[None]],
) -> Any:
    """A client, not started yet: a member of the group on the topic of events. It commits nothing by itself.

    ``revoked`` is awaited before partitions are given up. ``assigned`` is awaited with the partitions that the member
    has from now on, and has to seek each of them.

    Raises:
        SettingsError: credentials are missing, or a certificate file cannot be read.
    """
    static = settings.kafka_group_instance_id
    consumer = fetching_consumer(
        settings,
        group_id=settings.kafka_group_id,
        group_instance_id=static,
        session_timeout_ms=_STATIC_SESSION_MS if static else timings.session_ms,
        rebalance_timeout_ms=_REBALANCE_MS,
    )
    consumer.subscribe([settings.kafka_topic], listener=_Listener(revoked, assigned))
    return consumer


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
