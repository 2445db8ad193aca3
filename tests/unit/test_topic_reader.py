"""A reader whose client fails, or gets nothing; tests/contract has what it does with brokers that answer."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, OffsetOutOfRangeError, TopicAuthorizationFailedError

from replog.errors import BrokerUnavailable, FatalError
from replog.settings import CollectorSettings
from replog.store.write.offsets import Span
from replog_collector.topics.reader import Progress, ReaderTimings, TopicReader
from tests.support.fakes import FakeMessage

if TYPE_CHECKING:
    from collections.abc import Callable

TOPIC = "replication.task.events"
TIMINGS = ReaderTimings(answer_s=0.2, poll_s=0.01, patience_s=0.3, first_backoff_s=0.001)
DEADLINE_S = 20.0


class Network:
    """The part of a client that speaks to its one broker; its partitions end at ``end``."""

    def __init__(self, end: int) -> None:
        self.cluster = self
        self._end = end
        self._sync_task: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def leader_for_partition(self, _: TopicPartition) -> int:
        return 1

    async def send(self, _: int, request: Any, *, group: int) -> Any:
        assert group
        topics = [(topic, [(number, 0, 0, self._end) for number, _ in numbers]) for topic, numbers in request._topics]
        return SimpleNamespace(topics=topics)


class Client:
    """A client of one partition with the offsets 0 to 9, of which a poll returns two messages.

    ``polling`` is called before each poll, and may raise. ``stable`` is the last stable offset, of which it is told
    with every poll.
    """

    _fetcher = _coordinator = None

    def __init__(self, polling: Callable[[], Any], *, messages: bool = True, stable: int = 10, end: int = 10) -> None:
        self._client = Network(end)
        self._polling = polling
        self._messages = messages
        self._stable = stable
        self._position = 0
        self.stopped = False

    async def start(self) -> None:
        """It is connected."""

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, partitions: list[TopicPartition]) -> None:
        assert partitions == [TopicPartition(TOPIC, 0)]

    def seek(self, _: TopicPartition, offset: int) -> None:
        self._position = offset

    def pause(self, *_: TopicPartition) -> None:
        """It fetches no more."""

    async def position(self, _: TopicPartition) -> int:
        return self._position

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def last_stable_offset(self, _: TopicPartition) -> int:
        return self._stable

    def last_poll_timestamp(self, _: TopicPartition) -> int:
        return time.time_ns() // 1_000_000

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[FakeMessage]]:
        assert max_records > 2
        await asyncio.sleep(0)
        polled = self._polling()
        if polled is not None:
            await polled
        if not self._messages:
            await asyncio.sleep(timeout_ms / 1000)
            return {}
        begin, self._position = self._position, self._position + 2
        return {partitions[0]: [FakeMessage(b"%d" % offset, offset=offset) for offset in (begin, begin + 1)]}


class Clients:
    """Makes clients, one after the other; the last of ``polling`` is that of all later ones."""

    def __init__(self, *polling: Callable[[], Any], **options: Any) -> None:
        self._polling = list(polling)
        self._options = options
        self.made: list[Client] = []

    def __call__(self, _: CollectorSettings) -> Client:
        polling = self._polling.pop(0) if len(self._polling) > 1 else self._polling[0]
        self.made.append(Client(polling, **self._options))
        return self.made[-1]


def failing(error: Exception, *, after: int) -> Callable[[], None]:
    """A poll that raises once some polls have succeeded."""
    polls = 0

    def poll() -> None:
        nonlocal polls
        polls += 1
        if polls > after:
            raise error

    return poll


def works() -> None:
    """A poll that succeeds."""


async def offsets(clients: Clients) -> tuple[list[int], TopicReader]:
    """The offsets that are read, of all ten."""
    async with (
        asyncio.timeout(DEADLINE_S),
        TopicReader(CollectorSettings(), TOPIC, timings=TIMINGS, client=clients) as reader,
    ):
        found = [message.offset async for messages in reader.read({0: Span(0, 10)}) for message in messages]
    assert all(client.stopped for client in clients.made)
    return found, reader


async def test_a_client_that_fails_is_replaced_and_reading_goes_on_where_it_was() -> None:
    clients = Clients(
        failing(KafkaConnectionError("lost"), after=2), failing(KafkaConnectionError("lost"), after=0), works
    )
    found, reader = await offsets(clients)
    assert found == list(range(10))
    assert len(clients.made) == 3
    assert reader.progress == Progress(10, 10)


async def test_a_client_that_hangs_is_replaced() -> None:
    clients = Clients(lambda: asyncio.sleep(DEADLINE_S), works)
    found, _ = await offsets(clients)
    assert found == list(range(10))
    assert len(clients.made) == 2


async def test_a_refusal_is_not_tried_again() -> None:
    clients = Clients(failing(TopicAuthorizationFailedError(TOPIC), after=0))
    with pytest.raises(BrokerUnavailable, match="Authorization"):
        await offsets(clients)
    assert len(clients.made) == 1


async def test_a_broker_that_stays_away_ends_the_reading() -> None:
    clients = Clients(failing(KafkaConnectionError("lost"), after=0))
    with pytest.raises(BrokerUnavailable, match="lost"):
        await offsets(clients)
    assert len(clients.made) > 1


async def test_what_does_not_come_ends_the_reading_with_the_places_that_were_reached() -> None:
    with pytest.raises(BrokerUnavailable, match=r"nothing came .* in 0\.3 s; .* reached: 0:0 of 10"):
        await offsets(Clients(works, messages=False, stable=5))


async def test_a_partition_without_a_message_up_to_its_end_counts_as_read() -> None:
    """Compaction may have removed them all, and then nothing ever comes."""
    found, reader = await offsets(Clients(works, messages=False))
    assert (found, reader.progress) == ([], Progress(10, 10))


async def test_a_topic_that_was_truncated_ends_the_reading() -> None:
    refused = OffsetOutOfRangeError({TopicPartition(TOPIC, 0): 4})
    with pytest.raises(FatalError, match="ends at 3, before 4, which was to be read"):
        await offsets(Clients(failing(refused, after=2), end=3))
