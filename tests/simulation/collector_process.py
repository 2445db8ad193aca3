"""A collector as one simulated process: the product's own parts, put together as ``replog_collector.process`` does."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import AsyncExitStack, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from replog.events import TYPES
from replog.outcomes import source_of
from replog.publisher.kafka import KafkaProducer
from replog.settings import CollectorSettings
from replog.store.write.checkpoints import Checkpoints
from replog.store.write.outbox import Outbox
from replog.store.write.writer import Writer
from replog.telemetry import CONTEXT_LOGGER, logger
from replog_api.http.as_of import Freshness
from replog_collector.backoff import Backoff
from replog_collector.collector import Collector, Timings
from replog_collector.event_accounting import EventAccounting
from replog_collector.health.progress import Progress
from replog_collector.kafka.group.consumer import KafkaSource
from replog_collector.kafka.produce.dead_letter_topic import DeadLetterTopic
from replog_collector.kafka.produce.outcome_topic import OutcomeTopic
from replog_collector.kafka.source import Polled
from replog_collector.periodic_task import PeriodicTask, publish_left
from replog_collector.pipeline.clock_limit import AheadLimit
from replog_collector.pipeline.dead_letter_limit import DeadLetterLimit
from replog_collector.pipeline.outcomes import OutcomePublishing
from replog_collector.shutdown import Shutdown
from tests.simulation.clients import SimulatedConsumer, SimulatedProducer
from tests.simulation.judge import WrongError
from tests.simulation.loop import Process
from tests.simulation.redis import SimulatedConnection
from tests.simulation.story import StoryLogger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from replog_collector.kafka.source import Source, TopicSnapshot
    from tests.simulation.world import World

#: Seconds that the store may take to answer a collector, as in ``replog_collector.process``.
STORE_TIMEOUT_S = 10.0
#: Seconds between two searches for outcomes that were left behind; a minute outside of simulations.
LEFT_OUTCOMES_S = 0.5
#: Polls are half as often as outside: each that finds nothing compares all checkpoints, and most of a simulation's work
#: would be that.
TIMINGS = Timings(poll_s=1.0)
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
    def epochs(self) -> Mapping[int, int]:
        return self._source.epochs

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

    collector: type[Collector] = Collector
    source: type[KafkaSource] = KafkaSource
    writer: type[Writer] = Writer
    checkpoints: type[Checkpoints] = Checkpoints
    periodic: type[PeriodicTask] = PeriodicTask
    freshness: type[Freshness] = Freshness


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
        self._shutdown: Shutdown | None = None
        self._outcomes: OutcomePublishing | None = None
        self._asked_to_stop = False
        self.ended = self.was_frozen = False

    def start(self) -> None:
        """Start the process."""
        self._world.loop.start(self.process, self._run(), name="main")

    def stop(self) -> None:
        """Ask it to stop, as SIGTERM does."""
        self._asked_to_stop = True
        if self._collector and self._shutdown:
            self._shutdown.request()
            self._collector.stop()

    def check(self) -> None:
        """Raise WrongError where it holds too much in memory, or its accounts are wrong."""
        if self.watched and self.watched.batches_in_memory() > 2:
            raise WrongError(f"{self.process} has {self.watched.batches_in_memory()} batches in memory")
        accounts = self.accounts
        if accounts._pending < 0 or accounts._received != accounts._pending + accounts._results.total():
            raise WrongError(
                f"{self.process} counts {accounts._received} events, {accounts._pending} of them in hand, and "
                f"{accounts._results.total()} results"
            )

    @property
    def is_idle(self) -> bool:
        """Whether it has no batch in hand."""
        return not self.accounts._pending and not (self._collector and self._collector._in_hand)

    async def _run(self) -> None:
        world = self._world
        CONTEXT_LOGGER.set(StoryLogger(world.story))
        self._shutdown = shutdown = Shutdown(end=self._overdue, alarm=self._alarm)
        source, dead_letters, outcome_topic = self._build()
        collector = self._collector
        assert collector
        try:
            async with AsyncExitStack() as opened:
                leaving: dict[str, Any] = {"group": source.stop, "dead_letters": dead_letters.stop}
                starting = [source.start, dead_letters.start]
                if outcome_topic:
                    leaving["outcomes"] = outcome_topic.stop
                    starting.append(outcome_topic.start)
                opened.push_async_callback(shutdown.leave, **leaving)
                if self._asked_to_stop:
                    self.stop()
                async with self._periodic():
                    await shutdown.work(collector.run(starting=starting), name="collector")
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
            world.report(f"{self.process} ends with {error!r}")
        self.ended = True
        logger().info("stopped")
        await self._require_no_tasks()
        world.ended(self)

    async def _require_no_tasks(self) -> None:
        """Report tasks that outlive their owner."""
        others = [task for task in self.process.tasks if task is not asyncio.current_task() and not task.done()]
        if others:
            # Requests of the client that nobody waits for end by themselves; so does what was told to.
            await asyncio.sleep(0.5)
        left = [task.get_name() for task in others if not task.done() and task.get_name() != "offset commit"]
        if left:
            self._world.report(f"{self.process} has ended, and left running: {', '.join(sorted(left))}")

    def _alarm(self, delay_s: float, call: Any) -> None:
        # A thread of the process, which sees nothing of its event loop.
        self._world.loop.in_world(delay_s, lambda: self.ended or call())

    def _overdue(self, _: int) -> None:
        if not self.process.alive:
            return
        if self.was_frozen:
            # It ends itself, wherever it is.
            self._world.kill(self)
            return
        self._world.report(f"{self.process} has not ended 9 s after it was asked to, and has to be ended by force")

    def _periodic(self) -> AbstractAsyncContextManager[object]:
        outcomes = self._outcomes
        if outcomes is None:
            return nullcontext()
        return self._parts.periodic(
            lambda: publish_left(outcomes), name="left outcomes", on_death=self.stop, interval_s=LEFT_OUTCOMES_S
        )

    def _build(self) -> tuple[KafkaSource, DeadLetterTopic, OutcomeTopic | None]:
        world, parts = self._world, self._parts
        connection = SimulatedConnection(world.redis, timeout_s=STORE_TIMEOUT_S, swallows=world.schedule.swallows)
        writer = parts.writer(connection, clock=world.wall_s, new_id=world.new_id, outbox=world.schedule.outcomes)
        checkpoints = parts.checkpoints(connection, group=SETTINGS.kafka_group_id, topic=SETTINGS.kafka_topic)
        loop = world.loop
        progress = Progress(loop.time, SETTINGS.watchdog_s)

        async def finish_batch() -> None:
            assert self._collector
            await self._collector.finish_batch()

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
        outcome_topic = self._outcome_topic(connection)
        self._collector = parts.collector(
            self.watched,
            writer,
            checkpoints,
            dead_letters,
            DeadLetterLimit(1.0, 1_000_000, clock=loop.time),
            outcomes=self._outcomes,
            ahead=AheadLimit(SETTINGS.max_ahead_s, clock=world.wall_s),
            progress=progress,
            timings=TIMINGS,
            accounts=self.accounts,
            backoff=partial(Backoff, chance=world.chance),
        )
        return source, dead_letters, outcome_topic

    def _outcome_topic(self, connection: SimulatedConnection) -> OutcomeTopic | None:
        world = self._world
        if not world.schedule.outcomes:
            return None
        client = partial(SimulatedProducer, world.kafka, world.take_outcome)
        topic = OutcomeTopic(KafkaProducer(SETTINGS, "outcomes", idempotent=False, client=client))
        self._outcomes = OutcomePublishing(
            Outbox(connection), topic, source=source_of(SETTINGS.kafka_topic), clock=world.wall_s
        )
        return topic

    def _consumer(self, _: CollectorSettings, *, timings: Any, revoked: Any, assigned: Any) -> SimulatedConsumer:
        self.consumer = SimulatedConsumer(
            self._world.kafka, revoked=revoked, assigned=assigned, chance=self._world.chance
        )
        return self.consumer
