"""A collector as one simulated process: the product's own parts, put together as ``replog_collector.process`` does."""

from __future__ import annotations

import asyncio
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from replog.events import TYPES
from replog.publisher.kafka import KafkaProducer
from replog.settings import CollectorSettings
from replog.store.write.checkpoints import Checkpoints
from replog.store.write.writer import Writer
from replog.telemetry import CONTEXT_LOGGER, logger
from replog_collector.collector import Collector
from replog_collector.event_accounting import EventAccounting
from replog_collector.health.progress import Progress
from replog_collector.kafka.consumer import KafkaSource
from replog_collector.kafka.dead_letter_topic import DeadLetterTopic
from replog_collector.kafka.source import Polled
from replog_collector.pipeline.clock_limit import AheadLimit
from replog_collector.pipeline.dead_letter_limit import DeadLetterLimit
from tests.simulation.clients import SimulatedConsumer, SimulatedProducer
from tests.simulation.judge import WrongError
from tests.simulation.loop import Process
from tests.simulation.redis import SimulatedConnection
from tests.simulation.story import StoryLogger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replog_collector.kafka.source import Source, Standing, TopicSnapshot
    from tests.simulation.world import World

#: Seconds that the store may take to answer a collector, as in ``replog_collector.process``.
STORE_TIMEOUT_S = 10.0
SETTINGS = CollectorSettings(kafka_topic="events", kafka_group_id="collectors")


class _Messages(list[Any]):
    """The messages of a batch, of which it can be told whether they are still in memory."""

    __slots__ = ("__weakref__",)


class _WatchedSource:
    """A source that counts the batches in memory: two at most."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._in_memory: list[weakref.ref[_Messages]] = []
        self.start, self.stop, self.commit = source.start, source.stop, source.commit
        self.rewind, self.check, self.standings = source.rewind, source.check, source.standings

    @property
    def positions(self) -> Mapping[int, int]:
        return self._source.positions

    @property
    def moving(self) -> bool:
        return self._source.moving

    @property
    def snapshot(self) -> TopicSnapshot | None:
        return self._source.snapshot

    async def poll(self, timeout_s: float, *, paused: bool = False) -> Polled:
        polled = await self._source.poll(timeout_s, paused=paused)
        if not polled.messages:
            return polled
        messages = _Messages(polled.messages)
        self._in_memory.append(weakref.ref(messages))
        return Polled(messages, polled.spans, polled.unreadable)

    start: Any
    stop: Any
    commit: Any
    rewind: Any
    check: Any
    standings: Any

    def batches_in_memory(self) -> int:
        """How many batches there are."""
        self._in_memory = [batch for batch in self._in_memory if batch() is not None]
        return len(self._in_memory)


class CollectorParts:
    """The classes that a collector is made of; a test of the simulator puts faulty ones in their place."""

    collector = Collector
    source = KafkaSource
    writer = Writer
    checkpoints = Checkpoints


class SimulatedCollector:
    """One collector, from its start to its end."""

    def __init__(self, world: World, name: str, parts: type[CollectorParts]) -> None:
        self._world = world
        self._parts = parts
        self.process = Process(name)
        self.consumer: SimulatedConsumer | None = None
        self.accounts = EventAccounting(TYPES)
        self.watched: _WatchedSource | None = None
        self._collector: Collector | None = None
        self.ended = False

    def start(self) -> None:
        """Start the process."""
        self._world.loop.start(self.process, self._run(), name="main")

    def stop(self) -> None:
        """Ask it to stop, as SIGTERM does."""
        if self._collector:
            self._collector.stop()

    def check(self) -> None:
        """Raise WrongError where it holds too much in memory, or its accounts are wrong."""
        if self.watched and self.watched.batches_in_memory() > 2:  # noqa: PLR2004 - the promise
            raise WrongError(f"{self.process} has {self.watched.batches_in_memory()} batches in memory")
        accounts = self.accounts
        if accounts._pending < 0 or accounts._received != accounts._pending + accounts._results.total():
            raise WrongError(
                f"{self.process} counts {accounts._received} events, {accounts._pending} of them in hand, and "
                f"{accounts._results.total()} results"
            )

    @property
    def is_idle(self) -> bool:
        """Whether it has no events in hand."""
        return not self.accounts._pending

    async def _run(self) -> None:
        world = self._world
        CONTEXT_LOGGER.set(StoryLogger(world.story))
        source, dead_letters, collector = self._build()
        self._collector = collector
        try:
            await collector.run(starting=[source.start, dead_letters.start])
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
            world.report(f"{self.process} ends with {error!r}")
        finally:
            await asyncio.gather(source.stop(), dead_letters.stop())
            self.ended = True
            logger().info("stopped")
            others = [task for task in self.process.tasks if task is not asyncio.current_task() and not task.done()]
            if others:
                # Those that were told to end have not had the time yet.
                await asyncio.sleep(0.5)
            left = [task.get_name() for task in others if not task.done()]
            if left:
                world.report(f"{self.process} has ended, and left running: {', '.join(sorted(left))}")
            world.ended(self)

    def _build(self) -> tuple[KafkaSource, DeadLetterTopic, Collector]:
        world, parts = self._world, self._parts
        connection = SimulatedConnection(world.redis, timeout_s=STORE_TIMEOUT_S)
        writer = parts.writer(connection, clock=world.wall_s, new_id=world.new_id)
        checkpoints = parts.checkpoints(
            connection, group=SETTINGS.kafka_group_id, topic=SETTINGS.kafka_topic
        )
        loop = world.loop
        progress = Progress(loop.time, SETTINGS.watchdog_s)
        holder: list[Collector] = []

        async def finish_batch() -> None:
            await holder[0].finish_batch()

        def note_assigned(partitions: list[int]) -> None:
            writer.renew()
            logger().info("partitions_assigned", partitions=partitions)

        source = parts.source(
            SETTINGS,
            checkpoints,
            revoking=finish_batch,
            assigned=note_assigned,
            client=self._consumer,
            clock=world.wall_ns,
        )
        self.watched = _WatchedSource(source)
        dead_letters = DeadLetterTopic(
            KafkaProducer(
                SETTINGS,
                SETTINGS.dead_letter_topic,
                idempotent=False,
                client=partial(SimulatedProducer, world.kafka, world.take_dead_letter),
            ),
            source_topic=SETTINGS.kafka_topic,
            clock=world.wall_ns,
        )
        collector = parts.collector(
            self.watched,
            writer,
            checkpoints,
            dead_letters,
            DeadLetterLimit(1.0, 1_000_000, clock=loop.time),
            ahead=AheadLimit(SETTINGS.max_ahead_s, clock=world.wall_s),
            progress=progress,
            accounts=self.accounts,
            chance=world.chance,
        )
        holder.append(collector)
        return source, dead_letters, collector

    def _consumer(self, _: CollectorSettings, *, timings: Any, revoked: Any, assigned: Any) -> SimulatedConsumer:
        self.consumer = SimulatedConsumer(
            self._world.kafka, revoked=revoked, assigned=assigned, chance=self._world.chance
        )
        return self.consumer
