"""Fakes of the collector's ports. tests/contract runs one suite over each fake and what it stands for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replog.errors import BrokerUnavailable, StoreRefused, StoreUnavailable
from replog.records import EMPTY, Effect, Registers, fold
from replog_collector.source import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replog.store.batch import Batch, Folded
    from replog_collector.dead_letters import DeadLetter
    from replog_collector.source import Message


@dataclass(frozen=True)
class FakeMessage:
    """A message as the source gives it."""

    value: bytes | None
    partition: int = 0
    offset: int = 0
    timestamp: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


class MemoryStore:
    """The store without Redis. ``failures`` are raised first, one a call; ``broken`` records are refused."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str | None], Registers] = {}
        self.task_keys: dict[str, set[str]] = {}
        self.failures: list[StoreUnavailable] = []
        self.broken: set[str] = set()
        self.merged = asyncio.Event()

    async def merge(self, batch: Batch) -> None:
        """As :class:`replog_collector.collector.Store`."""
        if self.failures:
            raise self.failures.pop(0)
        if self.broken & batch.records.keys():
            raise StoreRefused("WRONGTYPE")
        for record_id, record in batch.records.items():
            entities: list[tuple[str | None, Folded]] = [*record.details.items()]
            if record.record:
                entities.append((None, record.record))
            for detail_id, folded in entities:
                state = self.states.get((record_id, detail_id), EMPTY)
                joined, effect = fold(state, folded.registers)
                self.states[record_id, detail_id] = joined
                listed = detail_id is None and self._list(record_id, record.task_keys)
                batch.merged(folded, Effect.APPLIED if listed else effect)
        self.merged.set()

    def _list(self, record_id: str, task_keys: list[str]) -> bool:
        known = self.task_keys.setdefault(record_id, set())
        grew = not known.issuperset(task_keys)
        known.update(task_keys)
        return grew


@dataclass
class MemoryTopic:
    """A topic of one partition, and what its group has committed."""

    messages: list[FakeMessage] = field(default_factory=list)
    committed: int = 0

    def publish(self, value: bytes | None, key: bytes | None = None) -> None:
        """Add one message."""
        self.messages.append(FakeMessage(value, offset=len(self.messages), key=key))


class MemorySource:
    """:class:`replog_collector.source.Source` on a :class:`MemoryTopic`."""

    def __init__(self, topic: MemoryTopic) -> None:
        self.topic = topic
        self.commit_fails = False
        self.failures: list[BrokerUnavailable] = []
        self.paused_polls = 0
        self._position: int | None = None
        self._applied: int | None = None

    async def start(self) -> None:
        """As the protocol says."""
        self._position = self._applied = self.topic.committed

    async def stop(self) -> None:
        """As the protocol says."""
        self._position = self._applied = None

    async def poll(self, timeout_s: float, *, paused: bool = False) -> list[Message]:
        """As the protocol says; ``failures`` are raised first, one a call."""
        assert self._position is not None
        if self.failures:
            raise self.failures.pop(0)
        if paused:
            self.paused_polls += 1
            await asyncio.sleep(0)
            return []
        messages: list[Message] = [*self.topic.messages[self._position :]]
        self._position += len(messages)
        await asyncio.sleep(0)
        return messages

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """As the protocol says."""
        if self._applied is None:
            return
        self._applied = max(self._applied, offsets.get(0, 0))
        if self.commit_fails:
            raise BrokerUnavailable("the group is rebalancing")
        self.topic.committed = self._applied

    async def check(self) -> None:
        """As the protocol says."""
        if self._position is None:
            raise BrokerUnavailable("not connected")

    def standings(self) -> dict[int, Standing]:
        """As the protocol says."""
        return {} if self._applied is None else {0: Standing(self._applied, len(self.topic.messages))}


class MemoryDeadLetters:
    """Keeps dead letters. ``failures`` are raised first, one a call."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.failures: list[BrokerUnavailable] = []

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """As the protocol says."""
        if self.failures:
            raise self.failures.pop(0)
        self.letters.extend(letters)
