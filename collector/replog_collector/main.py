"""``replog-collector``: one collector, in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
import time
from contextlib import AsyncExitStack

import uvloop

from replog.errors import FatalError
from replog.publisher.kafka import KafkaProducer
from replog.settings import CollectorSettings, describe, load_or_exit, mask_url, report_environment
from replog.store.client.connection import Connection
from replog.store.maintain.retention import Policy, Retention
from replog.store.maintain.staleness import Staleness
from replog.store.write.checkpoints import Checkpoints
from replog.store.write.layout_claim import claim_layout
from replog.store.write.writer import Writer
from replog.telemetry import configure_logs, logger
from replog_collector.collector import Collector
from replog_collector.health.progress import Progress
from replog_collector.health.server import HealthServer
from replog_collector.health.watchdog import Watchdog
from replog_collector.kafka.consumer import KafkaSource
from replog_collector.kafka.dead_letters import DeadLetterTopic
from replog_collector.periodic_task import COUNT_S, PeriodicTask, count_stale, note_refusal, remove_due
from replog_collector.pipeline.clock_limit import AheadLimit
from replog_collector.pipeline.dead_letter_limit import DeadLetterLimit
from replog_collector.shutdown import Shutdown

#: How long Redis may take to answer a batch, in seconds.
STORE_TIMEOUT_S = 10.0
#: Objects made before the garbage collector looks at the young ones. A batch makes tens of thousands and none of
#: them in cycles: at Python's 700 the looking costs a tenth of all time.
GC_THRESHOLD = 50_000


def main() -> None:
    """Run until SIGTERM or SIGINT; exit 0 then, 2 or 3 where a person has to change something first."""
    argparse.ArgumentParser(
        prog="replog-collector",
        description="Folds the events of a Kafka topic into the store. Takes no arguments.",
        epilog="settings (environment variables, or a .env file):\n" + describe(CollectorSettings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    settings = load_or_exit(CollectorSettings)
    configure_logs(settings, service="collector")
    report_environment()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except FatalError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one line that the operator's contract asks for
        raise SystemExit(error.exit_code) from None


async def serve(settings: CollectorSettings) -> None:
    """Startup, main loop, shutdown. What was opened first is closed last.

    Raises:
        FatalError: a setting cannot be used, or the store cannot serve this version.
    """
    log = logger()
    shutdown = Shutdown()
    async with AsyncExitStack() as stack:
        progress = Progress(time.monotonic, settings.watchdog_s)
        connection = await stack.enter_async_context(Connection(settings, timeout_s=STORE_TIMEOUT_S))
        dead_letters = DeadLetterTopic(
            KafkaProducer(settings, settings.dead_letter_topic, idempotent=False), source_topic=settings.kafka_topic
        )
        markers = Checkpoints(connection, group=settings.kafka_group_id, topic=settings.kafka_topic)
        writer = Writer(connection)

        def assigned(partitions: list[int]) -> None:
            # What another collector merged and did not commit comes again.
            writer.renew()
            log.info("partitions_assigned", partitions=partitions)

        source = KafkaSource(
            settings,
            markers,
            revoking=lambda: collector.finish_batch(),  # noqa: PLW0108 - the collector is made below
            assigned=assigned,
        )
        limit = DeadLetterLimit(settings.dead_letter_share, settings.dead_letters_per_minute, clock=time.monotonic)
        ahead = AheadLimit(settings.max_ahead_s)
        collector = Collector(source, writer, markers, dead_letters, limit, ahead=ahead, progress=progress)
        health = stack.enter_context(
            HealthServer(
                settings.collector_host,
                settings.collector_port,
                progress,
                {"redis": connection.check, "kafka": source.check},
                look=Watchdog(progress, clock=time.monotonic).look,
            )
        )

        def stop() -> None:
            shutdown.request()
            collector.stop()

        for stop_signal in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(stop_signal, stop)
        log.info(
            "started",
            kafka=settings.kafka_bootstrap_servers,
            topic=settings.kafka_topic,
            group=settings.kafka_group_id,
            redis=mask_url(settings.redis_url),
            health=f"http://{settings.collector_host}:{health.port}",
        )

        stack.push_async_callback(shutdown.leave, group=source.stop, dead_letters=dead_letters.stop)
        policy = Policy(settings.retention_days, settings.retention_failed_days or settings.retention_days)
        retention = Retention(connection, policy, refused=note_refusal)
        staleness = Staleness(connection, stale_after_s=settings.stale_after_s, refused=note_refusal)
        async with (
            PeriodicTask(lambda: remove_due(retention), name="retention", on_death=stop),
            # Partition 0 is there in every topic, and one collector's.
            PeriodicTask(
                lambda: count_stale(staleness, mine=lambda: 0 in source.positions),
                name="staleness",
                on_death=stop,
                interval_s=COUNT_S,
            ),
        ):
            await shutdown.work(
                collector.run(
                    starting=[connection.check, lambda: claim_layout(connection), source.start, dead_letters.start]
                ),
                name="collector",
            )

        log.info("stopping")
    log.info("stopped")


if __name__ == "__main__":
    main()
