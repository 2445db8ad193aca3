"""One simulation: servers, processes and faults put together as a schedule says, run, and judged."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaConnectionError

from replog.errors import BrokerUnavailable, StoreUnavailable
from replog.letters import OFFSET, PARTITION
from replog.publisher.kafka import KafkaProducer
from replog.publisher.publisher import Publisher
from replog.store.read.as_of import read_as_of
from replog.store.read.filters import NO_FILTER
from replog.store.read.queries import StoreQueries
from replog.telemetry import CONTEXT_LOGGER
from tests.simulation.broker import SimulatedKafka
from tests.simulation.clients import SimulatedProducer
from tests.simulation.collector_process import SETTINGS, CollectorParts, SimulatedCollector
from tests.simulation.faults import begin
from tests.simulation.judge import Judge, WrongError
from tests.simulation.loop import BEGIN_S, DeadlockError, Process, SimulatedLoop
from tests.simulation.redis import SimulatedConnection, SimulatedRedis
from tests.simulation.schedule import PUBLISHING_S, TROUBLED_S, Schedule
from tests.simulation.story import Story, StoryLogger
from tests.simulation.workload import BEGIN_S as WALL_BEGIN_S
from tests.simulation.workload import Published, messages

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Seconds in which everything has to be applied once nothing is wrong any more. A rebalance may take 30, and a client
#: that hangs is noticed within some 20.
SETTLE_S = 120.0
#: Seconds between two looks whether everything is applied, and between two answers of the query service.
LOOK_S, ANSWER_S = 0.25, 0.4
#: Seconds between two looks of the group's coordinator whether a member is late.
EVICTION_S = 0.5
#: Seconds in which a collector ends that was asked to stop.
STOP_S = 12.0
#: Callbacks that a simulation may take; one that takes more goes round in circles.
MOST_STEPS = 2_000_000
READ_TIMEOUT_S = 1.2


@dataclass
class Verdict:
    """How a simulation went: what was wrong, None for nothing, and its story."""

    schedule: Schedule
    wrong: str | None
    story: Story
    steps: int
    virtual_s: float
    checks: int

    def told(self) -> str:
        """The schedule, the story and the end, for people."""
        schedule = self.schedule
        count = schedule.messages if schedule.kept is None else len(schedule.kept)
        head = (
            f"seed {schedule.seed}: {schedule.collectors} collectors, {schedule.partitions} partitions, "
            f"{schedule.servers} Redis, {count} of {schedule.messages} messages, {len(schedule.faults)} faults"
        )
        end = "all is well" if self.wrong is None else f"WRONG: {self.wrong}"
        again = f'make simulate ARGS="--seed {schedule.seed} --messages {schedule.messages}"'
        return f"{head}\n\n{self.story}\n\n{end}\nThe whole schedule again: {again}"


class World:
    """Everything in one simulation. Made for one schedule, and run once."""

    def __init__(self, schedule: Schedule, parts: type[CollectorParts] = CollectorParts) -> None:
        self.schedule = schedule
        self._parts = parts
        #: What decides the order of callbacks and latencies; what publishers do has a generator of its own.
        self.chance = random.Random(f"run {schedule.seed}")
        self._publishing = random.Random(f"publishing {schedule.seed}")
        self.loop = SimulatedLoop(self.chance)
        self.loop.on_failure = self._note_failure
        self.story = Story(self.loop)
        self.loop.world_context.run(CONTEXT_LOGGER.set, StoryLogger(self.story))
        self.redis = SimulatedRedis(self.loop, self.chance, schedule.servers)
        self.kafka = SimulatedKafka(self.loop, self.chance, schedule.partitions, self.wall_ms, SETTINGS.kafka_topic)
        self.kafka.tell = lambda what: self.story.tell("Kafka", what)
        head = f"{SETTINGS.kafka_group_id}:{SETTINGS.kafka_topic}:"
        self.judge = Judge(schedule, self.kafka, self.redis, head=head)
        self.collectors: list[SimulatedCollector] = []
        self.processes: list[Process] = []
        self._started = 0
        self._wrong: str | None = None
        #: Publishers at work, and what other clients have not published yet.
        self._publishers = self._bursts = 0
        #: Faults that have not ended yet.
        self.troubles = 0
        #: Whether the topic was made anew and publishers wait until that was noticed; and since when.
        self.is_topic_anew = False
        self._anew_since_s = 0.0
        #: How often consumers had gone to a place in the partitions that had messages.
        self._sought_before: dict[int, int] = {}
        self._deadline_s: float | None = None
        #: What the query service told last, and since when nothing is wrong.
        self._told_ms = self._calm_since_ms = 0
        self._closing = False
        self._over = False
        self._by_value: dict[bytes, Published] = {}

    # Ports of the processes.

    def wall_s(self) -> float:
        """Seconds since 1970."""
        return WALL_BEGIN_S + self.loop.now_s - BEGIN_S

    def wall_ns(self) -> int:
        """Nanoseconds since 1970."""
        return int(self.wall_s() * 1_000_000_000)

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return int(self.wall_s() * 1000)

    def new_id(self) -> str:
        """An id that nobody else has."""
        return f"{self.chance.getrandbits(128):032x}"

    def take_dead_letter(self, _: bytes | None, __: bytes | None, headers: Any) -> None:
        """Add to the dead-letter topic."""
        of = dict(headers)
        self.kafka.dead_letters.add((int(of[PARTITION]), int(of[OFFSET])))

    def take_outcome(self, _: bytes | None, __: bytes | None, headers: Any) -> None:
        """Add to the outcomes topic."""
        of = dict(headers)
        self.judge.outcomes.add((of["ce_subject"].decode(), of["ce_sequence"].decode()))

    def take_event(self, key: bytes | None, value: bytes | None, _: Any) -> None:
        """Add to the topic of events."""
        if self.is_topic_anew:
            raise KafkaConnectionError("simulated: the topic is not there")
        message = self._by_value[value or b""]
        self.kafka.append(self.kafka.partition_of(key or b""), message)

    # The course of a simulation.

    def run(self) -> Verdict:
        """Run it to its end, or to where something is wrong."""
        loop = self.loop
        # Not asyncio.Runner: what is left of killed processes must not be cleaned up by it.
        try:
            self._begin()
            loop.run_forever()
        except DeadlockError:
            self.report("nothing is left to run")
        finally:
            self._over = self.story.over = True
            self._tear_down()
        return Verdict(self.schedule, self._wrong, self.story, loop.steps, loop.now_s - BEGIN_S, self.judge.checks)

    def report(self, wrong: str) -> None:
        """Note that something is wrong, and end the simulation."""
        if self._wrong is None and not self._over:
            self._wrong = wrong
            self.story.tell("the judge", wrong)
        self.loop.stop()

    def _note_failure(self, what: str, error: BaseException | None) -> None:
        # What the judge finds where it looks at a server's call is what is wrong itself.
        self.report(str(error) if isinstance(error, WrongError) else f"an error that nobody handles: {what}")

    def ended(self, collector: SimulatedCollector) -> None:
        """Note that a collector ended as it should."""
        if collector in self.collectors:
            self.collectors.remove(collector)
        if self._closing and not self.collectors:
            self.loop.stop()

    def start_collector(self) -> None:
        """Start one more collector."""
        if self._closing:
            return
        self._started += 1
        collector = SimulatedCollector(self, f"collector {self._started}", self._parts)
        self.collectors.append(collector)
        self.processes.append(collector.process)
        self.story.tell(collector.process.name, "starts")
        collector.start()

    def kill(self, collector: SimulatedCollector) -> None:
        """End a collector where it is."""
        self.loop.kill(collector.process)
        self.collectors.remove(collector)
        if self._closing and not self.collectors:
            self.loop.stop()

    def _begin(self) -> None:
        loop, schedule = self.loop, self.schedule
        for _ in range(schedule.collectors):
            loop.in_world(self.chance.random() * 0.2, self.start_collector)
        self._publish()
        loop.in_world(EVICTION_S, self._evict)
        for fault in schedule.faults:
            self.troubles += 1
            loop.in_world(fault.at_s, begin, self, fault)
        reader = Process("query service")
        self.processes.append(reader)
        loop.start(reader, self._answer(), name="answers")
        loop.in_world(max(PUBLISHING_S, TROUBLED_S if schedule.faults else 0), self._look)

    def _evict(self) -> None:
        self.kafka.group.evict_late()
        self.loop.in_world(EVICTION_S, self._evict)

    def _publish(self) -> None:
        schedule, chance = self.schedule, self._publishing
        every = messages(schedule.workload, schedule.messages)
        kept = [message for message in every if schedule.kept is None or message.number in schedule.kept]
        own = [message for message in kept if message.event and chance.random() < schedule.published_share]
        if own:
            self._by_value = {message.value: message for message in own}
            self._publishers += 1
            publisher = Process("publisher")
            self.processes.append(publisher)
            self.loop.start(publisher, self._publish_own(own), name="publisher")
        numbers = {message.number for message in own}
        others = [message for message in kept if message.number not in numbers]
        while others:
            size = chance.choice([1, 5, 20, 60, 60, 200])
            burst, others = others[:size], others[size:]
            self._bursts += 1
            self.loop.in_world(chance.random() * PUBLISHING_S, self._append, burst)

    def make_topic_anew(self) -> None:
        """Delete the topic and make it anew; nobody publishes until :meth:`fill_topic_again`."""
        self.judge.topic_deleted()
        self._sought_before = {of.number: self.kafka.sought[of.number] for of in self.kafka.partitions if of.end}
        self.kafka.make_anew()
        self.is_topic_anew, self._anew_since_s = True, self.loop.now_s
        self.troubles += 1

    def fill_topic_again(self) -> None:
        """Let publishers go on once all partitions are read from their begin, as the documentation tells operators."""
        calm = self.troubles == 1
        if self._has_begun_anew():
            self.is_topic_anew = False
            self.troubles -= 1
            self.story.tell("publishers", "go on: all partitions are read from their begin")
        elif calm and self.loop.now_s > self._anew_since_s + SETTLE_S:
            self.report(f"{SETTLE_S:g} s after the topic was made anew, it is not read from its begin")
        else:
            if not calm:
                self._anew_since_s = self.loop.now_s
            self.loop.in_world(LOOK_S, self.fill_topic_again)

    def _has_begun_anew(self) -> bool:
        return all(self.kafka.sought[number] > before for number, before in self._sought_before.items())

    def _append(self, burst: Sequence[Published]) -> None:
        if self.is_topic_anew:
            self.loop.in_world(LOOK_S, self._append, burst)
            return
        self._bursts -= 1
        kafka = self.kafka
        for message in burst:
            partition = kafka.partition_of(message.key)
            entry = partition.append(kafka.clock_ms(), message)
            kafka.appended(entry)
        kafka.wake()

    async def _publish_own(self, own: Sequence[Published]) -> None:
        CONTEXT_LOGGER.set(StoryLogger(self.story))
        producer = KafkaProducer(
            SETTINGS,
            SETTINGS.kafka_topic,
            client=partial(SimulatedProducer, self.kafka, self.take_event),
        )
        while True:
            try:
                publisher = await Publisher(SETTINGS, producer=producer).__aenter__()
                break
            except BrokerUnavailable:
                await asyncio.sleep(0.2)
        for message in own:
            assert message.event
            await publisher.publish(message.event)
            await asyncio.sleep(PUBLISHING_S / len(own) * self._publishing.random() * 2)
        await publisher.close()
        self._publishers -= 1

    async def _answer(self) -> None:
        """Answer as the query service does: the time first, then the data, then whether the time still holds."""
        CONTEXT_LOGGER.set(StoryLogger(self.story))
        connection = SimulatedConnection(self.redis, timeout_s=READ_TIMEOUT_S)
        freshness = self._parts.freshness(connection, lambda: read_as_of(connection), self.loop.time)
        queries = StoreQueries(connection)
        every = messages(self.schedule.workload, self.schedule.messages)
        records = sorted({message.record_id for message in every if message.event})
        while True:
            await asyncio.sleep(ANSWER_S * self._publishing.random() * 2)
            record_id = self._publishing.choice(records)
            as_of = await freshness.read()
            self._told_ms = freshness.ms(as_of)
            try:
                record = await queries.records.record(record_id)
                page = await queries.records.detail_page(record_id, NO_FILTER, 0, 1000)
            except StoreUnavailable:
                freshness.doubt()
                continue
            try:
                self.judge.answered(
                    record.data if record else None, page.data.rows if page else (), record_id, freshness.ms(as_of)
                )
            except WrongError as wrong:
                self.report(str(wrong))

    def _look(self) -> None:
        """Judge, and end once everything is applied."""
        if self.loop.steps > MOST_STEPS:
            self.report(f"more than {MOST_STEPS} callbacks ran: something goes round in circles")
            return
        try:
            for collector in self.collectors:
                collector.check()
            if self.troubles or self._publishers or self._bursts:
                self.loop.in_world(LOOK_S, self._look)
                return
            if self._deadline_s is None:
                self._deadline_s, self._calm_since_ms = self.loop.now_s + SETTLE_S, self.wall_ms()
            if self._is_settled():
                self._settle()
            elif self.loop.now_s > self._deadline_s:
                self.report(f"{SETTLE_S:g} s after all faults, not everything is applied: {self._behind()}")
            else:
                self.loop.in_world(LOOK_S, self._look)
        except WrongError as wrong:
            self.report(str(wrong))

    def _settle(self) -> None:
        self.judge.check_answers()
        self.story.tell("the judge", "everything is applied, and every answer is the oracle's")
        self._closing = True
        for collector in list(self.collectors):
            collector.stop()
        self.loop.in_world(STOP_S, self._require_ended)

    def _is_settled(self) -> bool:
        # The query service tells that it is: its time has passed the last trouble and the last message.
        return (
            self.judge.is_everything_applied()
            and all(collector.is_idle for collector in self.collectors)
            and self._told_ms >= self._calm_since_ms
        )

    def _behind(self) -> str:
        if self.judge.is_everything_applied() and self._told_ms < self._calm_since_ms:
            return f"the query service says that it is as of {self._told_ms} ms, {self.wall_ms() - self._told_ms} ago"
        busy = [str(collector.process) for collector in self.collectors if not collector.is_idle]
        return f"{self.judge.behind()}; in the hands of {', '.join(busy)}" if busy else self.judge.behind()

    def _require_ended(self) -> None:
        if self.collectors:
            names = ", ".join(str(collector.process) for collector in self.collectors)
            self.report(f"{names} does not end {STOP_S:g} s after it was asked to stop")

    def _tear_down(self) -> None:
        """End all tasks that are left; what they still do concerns nobody."""
        self.loop.bury(self.processes)
        self.loop.close()
