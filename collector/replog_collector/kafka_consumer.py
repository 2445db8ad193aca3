"""How the Kafka client of a collector is set up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from replog.kafka import client_options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from replog.settings import CollectorSettings

#: Bytes fetched ahead from each partition.
_FETCH_BYTES = 4 * 1024 * 1024
#: A topic or partition that appears while the collector runs is found within this time.
_METADATA_AGE_MS = 10_000
#: A member that was not heard of for this long is taken for dead, and its partitions go to others. One with a name of
#: its own is waited for while it is started again.
_SESSION_MS, _STATIC_SESSION_MS = 10_000, 45_000
#: How long the group waits for its members when partitions move.
REBALANCE_MS = 30_000


def subscribed_consumer(
    settings: CollectorSettings,
    *,
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
    consumer: Any = AIOKafkaConsumer(
        group_id=settings.kafka_group_id,
        group_instance_id=static,
        session_timeout_ms=_STATIC_SESSION_MS if static else _SESSION_MS,
        rebalance_timeout_ms=REBALANCE_MS,
        enable_auto_commit=False,
        # Where to begin is decided and counted by who assigns.
        auto_offset_reset="none",
        max_partition_fetch_bytes=_FETCH_BYTES,
        metadata_max_age_ms=_METADATA_AGE_MS,
        **client_options(settings),
    )
    consumer.subscribe([settings.kafka_topic], listener=_Listener(revoked, assigned))
    return consumer


async def stop_consumer(consumer: Any, timeout_s: float) -> None:
    """Leave the group and disconnect; where the broker does not answer within ``timeout_s``, disconnect."""
    try:
        async with asyncio.timeout(timeout_s):
            await consumer.stop()
    except TimeoutError:
        # It misses the member by itself. aiokafka has no public way to give up: what stop() did not come to would go on
        # fetching for as long as the process lives, beside the client that takes its place.
        closing = [part.close() for part in (consumer._fetcher, consumer._client) if part]  # noqa: SLF001
        await asyncio.gather(*closing, return_exceptions=True)


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
