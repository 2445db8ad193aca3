"""Kafka clients that fetch: set up, watched, and closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from replog.cancellation import cancel_and_wait
from replog.publisher.kafka_client import consumer_options
from replog_collector.kafka.fetch.safe_consumer import SafeConsumer

if TYPE_CHECKING:
    from replog.settings import CollectorSettings

#: Bytes fetched ahead from each partition.
_FETCH_BYTES = 4 * 1024 * 1024
#: A topic or partition that appears while the collector runs is found within this time.
_METADATA_AGE_MS = 10_000
#: Seconds in which the tasks of an abandoned client end.
_CANCEL_S = 1.0


def fetching_consumer(settings: CollectorSettings, *, group_id: str | None = None, **membership: Any) -> Any:
    """A client, not started yet: a member of a group, or of none and with partitions that are assigned by hand.

    It returns only committed messages, and commits nothing by itself. ``membership`` are options of
    :class:`aiokafka.AIOKafkaConsumer` that only members of a group need.

    Raises:
        SettingsError: credentials are missing, or a certificate file cannot be read.
    """
    return SafeConsumer(
        max_batch_bytes=settings.max_batch_bytes,
        group_id=group_id,
        enable_auto_commit=False,
        # Messages of aborted and of open transactions do not count.
        isolation_level="read_committed",
        # The reader decides where each partition begins. Offsets that Kafka has deleted raise: it counts them.
        auto_offset_reset="none",
        max_partition_fetch_bytes=_FETCH_BYTES,
        metadata_max_age_ms=_METADATA_AGE_MS,
        **membership,
        **consumer_options(settings),
    )


def has_ended(consumer: Any) -> bool:
    """Whether a background task of a started client has ended.

    The client does not restart it, and its work stops for ever: fetching, refreshing metadata, heartbeats. Not all of
    that shows as an error.
    """
    return any(task.done() for task in _tasks(consumer))


async def stop_consumer(consumer: Any, timeout_s: float, *, waits_to_join: bool = False) -> None:
    """Leave the group and disconnect; only disconnect where the broker does not answer within ``timeout_s``.

    A client that ``waits_to_join`` in its listener is kept from joining.
    """
    if waits_to_join:
        await cancel_and_wait([consumer._coordinator._coordination_task], timeout_s=_CANCEL_S)  # noqa: SLF001
    stopping = asyncio.create_task(consumer.stop(), name="consumer stop")
    try:
        await asyncio.wait([stopping], timeout=timeout_s)
    finally:
        # A client that has failed raises its error again. It does not matter: nobody uses this client any more.
        if not stopping.done() or stopping.cancelled() or stopping.exception():
            await _give_up(consumer, stopping)


async def _give_up(consumer: Any, stopping: asyncio.Task[None]) -> None:
    # The broker notices by itself that the member is gone. aiokafka has no public way to abandon a client: what stop()
    # did not reach would go on fetching for as long as the process lives, beside the client that replaces it.
    await cancel_and_wait([stopping, *_tasks(consumer), *_tasks_of_membership(consumer)], timeout_s=_CANCEL_S)
    closing = [part.close() for part in (consumer._fetcher, consumer._client) if part]  # noqa: SLF001
    await asyncio.gather(*closing, return_exceptions=True)


def _tasks(consumer: Any) -> list[asyncio.Task[None]]:
    """The background tasks of a client, of those parts that it has."""
    parts = (
        (consumer._client, "_sync_task"),  # noqa: SLF001
        (consumer._fetcher, "_fetch_task"),  # noqa: SLF001
        (consumer._coordinator, "_coordination_task"),  # noqa: SLF001
        # What a client in no group has in place of the one above.
        (consumer._coordinator, "_reset_committed_task"),  # noqa: SLF001
    )
    return [task for part, name in parts if part and (task := getattr(part, name, None))]


def _tasks_of_membership(consumer: Any) -> list[asyncio.Task[None]]:
    """The tasks of a client that come and go with its membership.

    Heartbeats that outlive the client would keep its partitions for a member that reads nothing.
    """
    names = ("_heartbeat_task", "_commit_refresh_task")
    return [task for name in names if (task := getattr(consumer._coordinator, name, None))]  # noqa: SLF001
