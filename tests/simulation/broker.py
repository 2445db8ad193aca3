"""A simulated Kafka: a topic's partitions, a consumer group's coordinator, and what is wrong with them.

The coordinator does as Kafka's: each join begins a rebalance, which waits for all members up to a limit; a member that
sends no heartbeat is evicted; a commit of a past generation is refused.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from zlib import crc32

from aiokafka.errors import (
    IllegalGenerationError,
    KafkaConnectionError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.simulation.workload import Published

#: Seconds that a request or an answer takes at most, where nothing holds it up.
LATENCY_S = 0.002
#: Seconds without a heartbeat after which a member is evicted, and that a rebalance waits for its members.
SESSION_S, REBALANCE_S = 10.0, 30.0
#: Seconds between two tries of a client whose broker does not answer.
RETRY_S = 0.1


@dataclass(slots=True, eq=False)
class Entry:
    """One offset of a partition: a message, or what takes an offset and is none; ``event`` is None for these."""

    partition: int
    offset: int
    timestamp: int
    value: bytes | None = None
    key: bytes | None = None
    event: Published | None = None
    #: Why it cannot be read; then ``value`` is not known. The offsets up to ``last`` are of the same batch.
    error: str | None = None
    last: int = -1
    #: Whether it is the end of a transaction, or an aborted message.
    control: bool = False
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Partition:
    """The log of one partition. Its offsets begin at 0; what is before ``first`` is deleted."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.entries: list[Entry] = []
        self.first = 0
        #: Offset of the first message of an open transaction; None where none is open.
        self.open_at: int | None = None
        #: Times of the entries, which never go back: a broker's own.
        self.times_ms: list[int] = []
        #: Offsets of the events of each bucket, and the events.
        self.of_bucket: dict[int, list[Entry]] = {}

    @property
    def end(self) -> int:
        """The offset after the last entry."""
        return len(self.entries)

    @property
    def stable(self) -> int:
        """The offset before which everything can be read."""
        return self.end if self.open_at is None else self.open_at

    def append(self, now_ms: int, event: Published | None = None, **parts: Any) -> Entry:
        """Add one entry."""
        entry = Entry(self.number, self.end, now_ms, event=event, **parts)
        if event is not None:
            entry.value, entry.key = event.value, event.key
            for bucket in event.buckets:
                self.of_bucket.setdefault(bucket, []).append(entry)
        self.entries.append(entry)
        self.times_ms.append(now_ms)
        return entry

    def end_at(self, ms: int) -> int:
        """The offset after the last entry that is older than ``ms``."""
        return bisect_left(self.times_ms, ms)


@dataclass(slots=True, eq=False)
class Member:
    """A member of the group, as the coordinator knows it."""

    id: str
    expires_s: float
    #: Answered once the rebalance that it waits for is over.
    joining: asyncio.Future[tuple[int, list[int]]] | None = None
    assignment: list[int] = field(default_factory=list)


class Group:
    """The coordinator of the consumer group, and what it has committed."""

    def __init__(self, broker: SimulatedKafka) -> None:
        self._broker = broker
        self.members: dict[str, Member] = {}
        self.generation = 0
        self.rebalancing = False
        self.committed: dict[int, int] = {}
        self._names = 0
        self._round = 0

    def join(self, member_id: str | None, answer: asyncio.Future[tuple[int, list[int]]]) -> str:
        """Have a member wait for the next generation, under an id that is new where it has none; returns the id."""
        if member_id is None or member_id not in self.members:
            self._names += 1
            member_id = f"member-{self._names}"
            self.members[member_id] = Member(member_id, 0.0)
        member = self.members[member_id]
        member.joining = answer
        self.prepare()
        self._complete_when_all_wait()
        return member_id

    def prepare(self) -> None:
        """Begin a rebalance, if none is under way."""
        if not self.rebalancing:
            self.rebalancing = True
            self._round += 1
            self._broker.loop.in_world(REBALANCE_S, self._complete, self._round)

    def heartbeat(self, member_id: str, generation: int) -> None:
        """Keep a member alive. Raises what the coordinator answers."""
        member = self._checked(member_id, generation)
        member.expires_s = self._broker.loop.now_s + SESSION_S
        if self.rebalancing:
            raise RebalanceInProgressError

    def commit(self, member_id: str, generation: int, offsets: dict[int, int]) -> None:
        """Commit. Raises what the coordinator answers."""
        self._checked(member_id, generation)
        self._broker.committing(offsets)
        self.committed.update(offsets)

    def leave(self, member_id: str) -> None:
        """Let a member go."""
        if self.members.pop(member_id, None):
            self.prepare()
            self._complete_when_all_wait()

    def evict_late(self) -> None:
        """Evict the members that sent no heartbeat in time; those that wait in a rebalance need send none."""
        now_s = self._broker.loop.now_s
        late = [m for m in self.members.values() if m.joining is None and m.expires_s < now_s]
        for member in late:
            self._broker.tell(f"the group evicts {member.id}, which sent no heartbeat")
            self.leave(member.id)

    def _checked(self, member_id: str, generation: int) -> Member:
        if member_id not in self.members:
            raise UnknownMemberIdError
        if generation != self.generation:
            raise IllegalGenerationError
        return self.members[member_id]

    def _complete_when_all_wait(self) -> None:
        if self.rebalancing and all(member.joining for member in self.members.values()):
            self._complete(self._round)

    def _complete(self, number: int) -> None:
        if not self.rebalancing or number != self._round:
            return
        self.rebalancing = False
        # Those that did not come in time are out.
        self.members = {name: member for name, member in self.members.items() if member.joining}
        self.generation += 1
        members = list(self.members.values())
        for number_of, member in enumerate(members):
            mine = [at for at in range(len(self._broker.partitions)) if at % len(members) == number_of]
            joining, member.joining = member.joining, None
            member.assignment = mine
            member.expires_s = self._broker.loop.now_s + SESSION_S
            if joining and not joining.done():
                joining.set_result((self.generation, mine))


class Clock(Protocol):
    """What servers need of the loop that they run on: that of a simulation, or a real one."""

    @property
    def now_s(self) -> float:
        """The time."""

    def create_future(self) -> asyncio.Future[Any]:
        """A future of the loop."""

    def in_world(self, delay_s: float, callback: Callable[..., object], *args: Any) -> object:
        """Call a part of a server later."""


class SimulatedKafka:
    """The cluster: the topic of events with its group, and the dead letters that it has taken."""

    def __init__(self, loop: Clock, chance: Random, partitions: int, clock_ms: Callable[[], int], topic: str) -> None:
        self.loop = loop
        self.chance = chance
        self.clock_ms = clock_ms
        self.topic = topic
        self.partitions = [Partition(number) for number in range(partitions)]
        self.group = Group(self)
        #: How often consumers went to a place in each partition.
        self.sought: Counter[int] = Counter()
        #: The coordinates of dead letters that were acknowledged.
        self.dead_letters: set[tuple[int, int]] = set()
        #: Whether no broker answers.
        self.away = False
        #: Whether what is committed fails, and whether leaders of partitions are not known.
        self.commits_fail = False
        self.leaderless = False
        #: Whether answers to producers get lost, after the message was taken.
        self.answers_lost = False
        #: Called before offsets are committed, and with what happens.
        self.committing: Callable[[dict[int, int]], None] = lambda _: None
        self.tell: Callable[[str], None] = lambda _: None
        self.appended: Callable[[Entry], None] = lambda _: None
        self._arrived: list[asyncio.Future[None]] = []

    def partition_of(self, key: bytes) -> Partition:
        """The partition that a producer chooses for a key."""
        return self.partitions[crc32(key) // 64 % len(self.partitions)]

    def append(self, partition: Partition, event: Published | None = None, **parts: Any) -> Entry:
        """Add one entry, and wake the consumers that wait for it."""
        entry = partition.append(self.clock_ms(), event, **parts)
        self.appended(entry)
        self.wake()
        return entry

    def append_unreadable(self, partition: Partition, error: str, *, messages: int = 1, **parts: Any) -> None:
        """Add a batch of so many messages that cannot be read."""
        self.append(partition, error=error, last=partition.end + messages - 1, **parts)
        for _ in range(messages - 1):
            self.append(partition, control=True)

    def make_anew(self) -> None:
        """Delete the topic, with what the group has committed in it, and make it anew with as many partitions."""
        self.partitions = [Partition(partition.number) for partition in self.partitions]
        self.group.committed.clear()
        self.dead_letters.clear()
        self.group.prepare()
        self.wake()

    def wake(self) -> None:
        """Let the consumers look again that wait for something to read."""
        waiting, self._arrived = self._arrived, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def arrival(self) -> asyncio.Future[None]:
        """Ends when something new may be read."""
        future: asyncio.Future[None] = self.loop.create_future()
        self._arrived.append(future)
        return future

    async def ask(self, question: Callable[[], Any]) -> Any:
        """The broker's answer to a client. Raises KafkaConnectionError where no broker answers."""
        answer: asyncio.Future[Any] = self.loop.create_future()
        self.loop.in_world(LATENCY_S * self.chance.random(), self._serve, question, answer)
        return await answer

    async def ask_again(self, question: Callable[[], Any]) -> Any:
        """The same, from a client that repeats what no broker answers."""
        while True:
            try:
                return await self.ask(question)
            except KafkaConnectionError:
                await asyncio.sleep(RETRY_S)

    def _serve(self, question: Callable[[], Any], answer: asyncio.Future[Any]) -> None:
        result: Any = None
        error: Exception | None = None
        if self.away:
            error = KafkaConnectionError("simulated: no broker answers")
        else:
            try:
                result = question()
            except Exception as raised:  # noqa: BLE001 - whatever it is, it is the answer
                error = raised
        self.loop.in_world(LATENCY_S * self.chance.random(), _answer, answer, result, error)


def _answer(answer: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
