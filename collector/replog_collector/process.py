"""One collector process: built, started, run until it is asked to stop, and shut down."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack, nullcontext
from typing import TYPE_CHECKING

from replog.errors import AuthenticationFailed, FatalError
from replog.outcomes import source_of
from replog.publisher.kafka import KafkaProducer
from replog.settings import mask_url
from replog.store.client.connection import Connection
from replog.store.maintain.restoring import Restoring
from replog.store.maintain.retention import Policy, Retention
from replog.store.maintain.staleness import Staleness
from replog.store.write.checkpoints import Checkpoints
from replog.store.write.layout_claim import claim_layout
from replog.store.write.outbox import Outbox
from replog.store.write.writer import Writer
from replog.telemetry import logger
from replog_collector.collector import Collector
from replog_collector.health.progress import Progress
from replog_collector.health.server import HealthServer
from replog_collector.health.watchdog import Watchdog
from replog_collector.kafka.group.consumer import KafkaSource
from replog_collector.kafka.produce.dead_letter_topic import DeadLetterTopic
from replog_collector.kafka.produce.outcome_topic import OutcomeTopic
from replog_collector.periodic_task import (
    COUNT_S,
    OUTBOX_S,
    RESTORE_S,
    PeriodicTask,
    count_stale,
    note_refusal,
    publish_left,
    remove_due,
    restore_later,
)
from replog_collector.pipeline.batch_tracing import BatchTracing
from replog_collector.pipeline.clock_limit import AheadLimit
from replog_collector.pipeline.dead_letter_limit import DeadLetterLimit
from replog_collector.pipeline.outcomes import OutcomePublishing
from replog_collector.shutdown import Shutdown
from replog_collector.start_warnings import StartWarnings
from replog_collector.topics.topic_events import TopicEvents

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from replog.settings import CollectorSettings
    from replog.tracing.tracer import Tracer

#: Seconds that Redis may take to answer a batch.
STORE_TIMEOUT_S = 10.0


class CollectorProcess:
    """The parts of one collector, and the three steps of its life. Made in a running event loop; runs once.

    ``tracer`` records batches; it is None where none are recorded.
    """

    def __init__(self, settings: CollectorSettings, tracer: Tracer | None = None) -> None:
        self._settings = settings
        self._shutdown = Shutdown()
        self._progress = Progress(time.monotonic, settings.watchdog_s)
        self._connection = Connection(settings, timeout_s=STORE_TIMEOUT_S)
        self._writer = Writer(self._connection, outbox=settings.kafka_outcomes_topic is not None)
        checkpoints = Checkpoints(self._connection, group=settings.kafka_group_id, topic=settings.kafka_topic)
        self._source = KafkaSource(
            settings, checkpoints, revoking=self._finish_batch, assigned=self._note_assigned_partitions
        )
        self._dead_letters = DeadLetterTopic(
            KafkaProducer(settings, settings.dead_letter_topic, idempotent=False), source_topic=settings.kafka_topic
        )
        self._outcome_topic = _outcome_topic(settings)
        self._outcomes = self._publishing(self._outcome_topic)
        self._ahead = AheadLimit(settings.max_ahead_s)
        self._collector = Collector(
            self._source,
            self._writer,
            checkpoints,
            self._dead_letters,
            DeadLetterLimit(settings.dead_letter_share, settings.dead_letters_per_minute, clock=time.monotonic),
            outcomes=self._outcomes,
            ahead=self._ahead,
            progress=self._progress,
            tracing=BatchTracing(tracer, topic=settings.kafka_topic, group=settings.kafka_group_id),
        )

    async def run(self) -> None:
        """Start up, collect until SIGTERM or SIGINT, and shut down; what was opened first is closed last.

        Raises:
            FatalError: a setting cannot be used, or the store cannot serve this version.
        """
        async with AsyncExitStack() as opened:
            await self._start_up(opened)
            await self._collect()
            logger().info("stopping")
        logger().info("stopped")

    async def _start_up(self, opened: AsyncExitStack) -> None:
        """Open what needs no server; Redis and Kafka are connected to by the collector, again and again if need be."""
        await opened.enter_async_context(self._connection)
        health = opened.enter_context(self._health_server())
        for stop_signal in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(stop_signal, self._stop)
        leaving = {"group": self._source.stop, "dead_letters": self._dead_letters.stop}
        if self._outcome_topic:
            leaving["outcomes"] = self._outcome_topic.stop
        opened.push_async_callback(self._shutdown.leave, **leaving)
        logger().info(
            "started",
            kafka=self._settings.kafka_bootstrap_servers,
            topic=self._settings.kafka_topic,
            group=self._settings.kafka_group_id,
            redis=mask_url(self._settings.redis_url),
            health=f"http://{self._settings.collector_host}:{health.port}",
        )

    async def _collect(self) -> None:
        """Run the collector's loop, and the periodic tasks beside it, until one of them ends."""
        async with (
            self._retention(),
            self._staleness(),
            self._restoring(),
            self._left_outcomes(),
            StartWarnings(self._settings, self._connection) as warnings,
        ):
            connecting = [
                self._connection.check,
                self._claim_layout,
                _or_end(self._source.start),
                _or_end(self._dead_letters.start),
                *([_or_end(self._outcome_topic.start)] if self._outcome_topic else []),
                warnings.begin,
            ]
            await self._shutdown.work(self._collector.run(starting=connecting), name="collector")

    def _publishing(self, topic: OutcomeTopic | None) -> OutcomePublishing | None:
        if topic is None:
            return None
        return OutcomePublishing(Outbox(self._connection), topic, source=source_of(self._settings.kafka_topic))

    async def _claim_layout(self) -> None:
        await claim_layout(self._connection)

    def _stop(self) -> None:
        self._shutdown.request()
        self._collector.stop()

    async def _finish_batch(self) -> None:
        await self._collector.finish_batch()

    def _note_assigned_partitions(self, partitions: list[int]) -> None:
        # What another collector merged and did not commit comes again.
        self._writer.renew()
        logger().info("partitions_assigned", partitions=partitions)

    def _health_server(self) -> HealthServer:
        return HealthServer(
            self._settings.collector_host,
            self._settings.collector_port,
            self._progress,
            {"redis": self._connection.check, "kafka": self._source.check},
            watch=Watchdog(self._progress, clock=time.monotonic).check,
        )

    def _retention(self) -> PeriodicTask:
        days = self._settings.retention_days
        policy = Policy(days, self._settings.retention_failed_days or days)
        retention = Retention(self._connection, policy, refused=note_refusal)
        return PeriodicTask(lambda: remove_due(retention), name="retention", on_death=self._stop)

    def _left_outcomes(self) -> AbstractAsyncContextManager[object]:
        outcomes = self._outcomes
        if outcomes is None:
            return nullcontext()
        return PeriodicTask(
            lambda: publish_left(outcomes), name="left outcomes", on_death=self._stop, interval_s=OUTBOX_S
        )

    def _staleness(self) -> PeriodicTask:
        staleness = Staleness(self._connection, stale_after_s=self._settings.stale_after_s, refused=note_refusal)

        def is_mine() -> bool:
            # Every topic has a partition 0, and it is assigned to one collector.
            return 0 in self._source.positions

        return PeriodicTask(
            lambda: count_stale(staleness, mine=is_mine), name="staleness", on_death=self._stop, interval_s=COUNT_S
        )

    def _restoring(self) -> PeriodicTask:
        topic = TopicEvents(self._settings, latest_us=self._ahead.latest_us)
        restoring = Restoring(
            self._connection,
            topic,
            ahead_s=self._settings.max_ahead_s,
            outbox=self._settings.kafka_outcomes_topic is not None,
        )
        return PeriodicTask(
            lambda: restore_later(restoring), name="restoring", on_death=self._stop, interval_s=RESTORE_S
        )


def _or_end(start: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """``start``, the first connection of a client to Kafka; credentials that are refused there end the process."""

    async def started() -> None:
        try:
            await start()
        except AuthenticationFailed as error:
            raise FatalError(str(error)) from error

    return started


def _outcome_topic(settings: CollectorSettings) -> OutcomeTopic | None:
    """The topic of outcomes; None where none are published."""
    topic = settings.kafka_outcomes_topic
    return None if topic is None else OutcomeTopic(KafkaProducer(settings, topic, idempotent=False))
