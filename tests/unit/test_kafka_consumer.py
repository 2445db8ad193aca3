"""What the source does with its client where that is replaced at a bad moment; tests/contract has the rest."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, OffsetOutOfRangeError, TopicAuthorizationFailedError
from aiokafka.protocol.offset import OffsetRequest

from replog.errors import BrokerUnavailable, StoreRefused, StoreUnavailable
from replog.settings import CollectorSettings
from replog_collector.kafka.group.consumer import KafkaSource
from replog_collector.kafka.group.subscription import GroupTimings
from replog_collector.kafka.offsets.topic_queries import Place
from replog_collector.kafka.source import PolledSpan
from tests.support.fakes import FakeMessage, MemoryCheckpoints

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PARTITION = TopicPartition("replication.task.events", 0)


class Part:
    """Something that a client is made of, with the task that it lives by."""

    closed = False

    def __init__(self) -> None:
        self.task = asyncio.get_running_loop().create_future()
        self._sync_task = self._fetch_task = self._coordination_task = self.task

    async def close(self) -> None:
        self.closed = True


class Network(Part):
    """The part that speaks to the brokers, which all are one."""

    def __init__(self, runner: asyncio.Event, asked: asyncio.Event) -> None:
        super().__init__()
        self.cluster = self
        self.silent = False
        self._runner, self._asked = runner, asked

    def brokers(self) -> list[Any]:
        return [SimpleNamespace(nodeId=1)]

    def update_metadata(self, _: Any) -> None:
        """It knows its one partition."""

    def leader_for_partition(self, _: TopicPartition) -> int:
        return 1

    async def send(self, _: int, request: Any, *, group: int) -> Any:
        assert group
        if isinstance(request, OffsetRequest):
            self._asked.set()
            await self._runner.wait()
        if self.silent:
            raise KafkaConnectionError
        if not isinstance(request, OffsetRequest):
            return SimpleNamespace(brokers=self.brokers())
        # As of the versions that tell a timestamp too.
        topics = [
            (topic, [(number, 0, 0, 0 if place == Place.FIRST.timestamp else 9) for number, place in numbers])
            for topic, numbers in request._topics
        ]
        return SimpleNamespace(topics=topics)


class Coordinator(Part):
    """The part that keeps the member's place in the group. The broker says that another member has its name."""

    generation, member_id = 1, "member"
    _heartbeat_task: asyncio.Future[None] | None = None

    async def ensure_coordinator_known(self) -> None:
        """It is."""

    async def _send_req(self, _: Any) -> Any:
        return SimpleNamespace(error_code=82)


class Client:
    """A client that has one partition from its start on; it answers when ``answering`` is set."""

    def __init__(
        self, *, revoked: Callable[[], Awaitable[None]], assigned: Callable[[list[TopicPartition]], Awaitable[None]]
    ) -> None:
        self.revoked = revoked
        self.assigned = assigned
        self.stopping, self.runner, self.asked = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.stopping.set()
        self.runner.set()
        #: What it does itself with others of aiokafka's.
        self._fetcher, self._client, self._coordinator = Part(), Network(self.runner, self.asked), Coordinator()
        self.stop_error: BaseException | None = None
        self.broken = False
        #: Offsets behind the one that was sought, without a message.
        self.gone_past = 0
        self.sought: list[int] = []
        #: The offset that its broker refuses to fetch from; None where it does not.
        self.refused: int | None = None
        self.messages: list[FakeMessage] = []

    async def start(self) -> None:
        await self.assigned([PARTITION])

    async def stop(self) -> None:
        await self.stopping.wait()
        if self.stop_error:
            raise self.stop_error

    def assignment(self) -> set[TopicPartition]:
        """It has it until it gets another, also while the group moves partitions."""
        return {PARTITION}

    def partitions_for_topic(self, _: str) -> set[int]:
        return {PARTITION.partition}

    def paused(self) -> set[TopicPartition]:
        return set()

    def pause(self, *_: TopicPartition) -> None:
        """It fetches nothing anyway."""

    async def committed(self, _: TopicPartition) -> int:
        return 5

    async def commit(self, _: dict[TopicPartition, int]) -> None:
        """Whatever it is."""

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.sought.append(offset)

    async def position(self, _: TopicPartition) -> int:
        return self.sought[-1] + self.gone_past

    async def getmany(self, *_: TopicPartition, **__: Any) -> dict[TopicPartition, list[Any]]:
        if self.broken:
            raise TopicAuthorizationFailedError
        if self.refused is not None:
            raise OffsetOutOfRangeError({PARTITION: self.refused})
        messages, self.messages = self.messages, []
        return {PARTITION: messages} if messages else {}


class Clients(list[Client]):
    """The clients that a source made, in order."""

    def make(self, _: CollectorSettings, *, timings: GroupTimings, **listeners: Any) -> Client:
        """Make another one, as ``subscribed_consumer`` does."""
        self.append(Client(**listeners))
        return self[-1]


@pytest.fixture
def clients() -> Clients:
    """None yet."""
    return Clients()


def impatient_source(clients: Clients) -> KafkaSource:
    """A source that gives up a client soon which does not stop."""
    return KafkaSource(
        CollectorSettings(),
        MemoryCheckpoints(),
        revoking=give_up,
        assigned=lambda _: None,
        timings=GroupTimings(answer_s=0.01),
        client=clients.make,
    )


async def give_up() -> None:
    """Nothing is in hand."""


async def test_a_client_that_is_replaced_while_a_rewind_asks_it_moves_nothing(clients: Clients) -> None:
    """The new one has gone to where its partitions begin; that the rewind finds the old one gone is no error."""
    checkpoints = MemoryCheckpoints()
    checkpoints.stored[0] = 5
    source = KafkaSource(
        CollectorSettings(), checkpoints, revoking=give_up, assigned=lambda _: None, client=clients.make
    )
    await source.start()
    (old,) = clients
    assert (old.sought, source.positions) == ([5], {0: 5})
    checkpoints.stored[0] = 3
    old.runner.clear()
    old.asked.clear()
    rewind = asyncio.create_task(source.rewind())
    await old.asked.wait()
    old.broken = True
    with pytest.raises(BrokerUnavailable):
        await source.poll(0)
    await source.poll(0)
    old.runner.set()
    await rewind
    new = clients[1]
    assert (old.sought, new.sought, source.positions) == ([5], [3], {0: 3})


async def test_what_was_gone_past_is_told_although_the_broker_falls_silent(clients: Clients) -> None:
    """It is told once: what is not taken then would be missing between what comes before and after it."""
    source = KafkaSource(
        CollectorSettings(), MemoryCheckpoints(), revoking=give_up, assigned=lambda _: None, client=clients.make
    )
    await source.start()
    (client,) = clients
    client._client.silent, client.gone_past = True, 1
    polled = await source.poll(0)
    assert (list(polled.messages), polled.spans) == ([], {0: PolledSpan(0, 1, 0)})
    with pytest.raises(BrokerUnavailable):
        await source.poll(0)


@pytest.mark.parametrize(("applied", "ends"), [(9, {0: 9}), (10, None)])
async def test_a_partition_that_ends_before_what_is_applied_of_it_is_not_known(
    clients: Clients, applied: int, ends: dict[int, int] | None
) -> None:
    """Its topic was made anew: that nothing lies behind the position says nothing of what there is now."""
    source = KafkaSource(
        CollectorSettings(), MemoryCheckpoints(), revoking=give_up, assigned=lambda _: None, client=clients.make
    )
    await source.start()
    await source.commit({0: applied})
    await source.poll(0)
    assert (source.snapshot and source.snapshot.ends) == ends


async def test_what_was_gone_past_behind_messages_is_told_with_them(clients: Clients) -> None:
    """A topic in which there is always a message has ends of transactions too."""
    source = KafkaSource(
        CollectorSettings(), MemoryCheckpoints(), revoking=give_up, assigned=lambda _: None, client=clients.make
    )
    await source.start()
    (client,) = clients
    client.messages, client.gone_past = [FakeMessage(b"a", offset=0)], 3
    polled = await source.poll(0)
    assert ([message.value for message in polled.messages], polled.spans) == ([b"a"], {0: PolledSpan(0, 3, 0)})


async def test_nothing_is_gone_past_while_paused(clients: Clients) -> None:
    """Where it were told, nobody would take it."""
    source = KafkaSource(
        CollectorSettings(), MemoryCheckpoints(), revoking=give_up, assigned=lambda _: None, client=clients.make
    )
    await source.start()
    (client,) = clients
    client.gone_past = 2
    assert not await source.poll(0, paused=True)
    assert (await source.poll(0)).spans == {0: PolledSpan(0, 2, 0)}


async def test_a_client_that_does_not_leave_in_time_sends_no_more_heartbeats(clients: Clients) -> None:
    """They would keep its partitions in the group for a member that reads nothing."""
    source = impatient_source(clients)
    await source.start()
    (client,) = clients
    beating = client._coordinator._heartbeat_task = asyncio.get_running_loop().create_future()
    client.stopping.clear()
    await source.stop()
    assert beating.cancelled()


async def test_a_client_that_is_stopped_while_its_partitions_begin_tells_of_none(clients: Clients) -> None:
    told: list[list[int]] = []
    source = KafkaSource(
        CollectorSettings(), MemoryCheckpoints(), revoking=give_up, assigned=told.append, client=clients.make
    )
    await source.start()
    (client,) = clients
    client.runner.clear()
    client.asked.clear()
    assigning = asyncio.ensure_future(client.assigned([PARTITION]))
    await client.asked.wait()
    await source.stop()
    client.runner.set()
    await assigning
    assert told == [[0]]


async def test_a_partition_whose_offset_is_refused_while_the_store_is_away_begins_at_its_checkpoint(
    clients: Clients,
) -> None:
    """By the next fetch, a topic that was made anew may have grown beyond that offset: it would be accepted then."""
    checkpoints = MemoryCheckpoints()
    checkpoints.stored = {0: 3}
    source = KafkaSource(
        CollectorSettings(), checkpoints, revoking=give_up, assigned=lambda _: None, client=clients.make
    )
    await source.start()
    checkpoints.away, clients[0].refused = True, 12
    with pytest.raises(StoreUnavailable):
        await source.poll(0)
    assert source.positions == {}
    checkpoints.away, clients[0].refused = False, None
    source._assignment.snapshot_due_s = 0.0
    await source.poll(0)
    assert (clients[0].sought, source.positions) == ([3, 3], {0: 3})


async def test_a_rewind_with_no_client_leaves_it_to_the_next(clients: Clients) -> None:
    source = KafkaSource(
        CollectorSettings(), MemoryCheckpoints(), revoking=give_up, assigned=lambda _: None, client=clients.make
    )
    await source.start()
    await source.stop()
    await source.rewind()
    assert (clients[0].sought, source.positions) == ([0], {})


async def test_partitions_are_given_up_although_the_batch_in_hand_fails(clients: Clients) -> None:
    """Another member may get them, and they may come back: from where they stand then."""

    async def fail() -> None:
        raise StoreRefused("no batch of this is ever merged")

    source = KafkaSource(
        CollectorSettings(), MemoryCheckpoints(), revoking=fail, assigned=lambda _: None, client=clients.make
    )
    await source.start()
    with pytest.raises(StoreRefused):
        await clients[0].revoked()
    assert source.positions == {}


async def test_a_client_that_does_not_stop_is_closed_all_the_same(clients: Clients) -> None:
    """Its broker does not answer that it has left; what it has fetched and would go on fetching is let go."""
    source = impatient_source(clients)
    await source.start()
    (client,) = clients
    client.stopping.clear()
    await source.stop()
    assert (client._fetcher.closed, client._client.closed) == (True, True)


@pytest.mark.parametrize("part", ["_client", "_fetcher", "_coordinator"])
async def test_a_client_of_which_a_task_has_ended_is_replaced(clients: Clients, part: str) -> None:
    """Nothing tells that: no messages come, or leaders that have moved are not found, for ever."""
    source = KafkaSource(
        CollectorSettings(), MemoryCheckpoints(), revoking=give_up, assigned=lambda _: None, client=clients.make
    )
    await source.start()
    getattr(clients[0], part).task.set_exception(RuntimeError("the handler is closed"))
    await source.poll(0)
    assert (len(clients), clients[0]._client.closed, source.positions) == (2, False, {0: 0})


@pytest.mark.parametrize("error", [RuntimeError("the handler is closed"), asyncio.CancelledError()])
async def test_a_client_that_fails_while_it_stops_is_closed_and_replaced(
    clients: Clients, error: BaseException
) -> None:
    """It raises what its task has ended with, or that one of its own was cancelled."""
    source = KafkaSource(
        CollectorSettings(), MemoryCheckpoints(), revoking=give_up, assigned=lambda _: None, client=clients.make
    )
    await source.start()
    clients[0].broken, clients[0].stop_error = True, error
    with pytest.raises(BrokerUnavailable):
        await source.poll(0)
    await source.poll(0)
    assert (len(clients), clients[0]._client.closed) == (2, True)


async def test_while_partitions_move_it_is_not_decided_where_they_begin(clients: Clients) -> None:
    """The client still names those of before. What were decided of them would not hold in what it gets next."""
    source = KafkaSource(
        CollectorSettings(), MemoryCheckpoints(), revoking=give_up, assigned=lambda _: None, client=clients.make
    )
    await source.start()
    (client,) = clients
    await client.revoked()
    await source.poll(0)
    assert (source.moving, source.positions, source.standings(), client.sought) == (True, {}, {}, [0])
    # It asks in vain, as a broker that coordinates the group may be gone; the next look comes back to it.
    client._client.silent = True
    await client.assigned([PARTITION])
    client._client.silent = False
    await source.poll(0)
    assert (source.moving, source.positions, client.sought) == (False, {0: 0}, [0, 0])


async def test_a_broker_that_does_not_answer_is_told_while_partitions_move(clients: Clients) -> None:
    """Else it would look as if the group did not get on."""
    source = KafkaSource(
        CollectorSettings(), MemoryCheckpoints(), revoking=give_up, assigned=lambda _: None, client=clients.make
    )
    await source.start()
    await clients[0].revoked()
    clients[0]._client.silent = True
    with pytest.raises(BrokerUnavailable):
        await source.poll(0)


async def test_a_static_member_whose_name_is_taken_waits_and_stops_without_joining(clients: Clients) -> None:
    """It would evict the other."""
    settings = CollectorSettings(kafka_group_instance_id="one")
    source = KafkaSource(settings, MemoryCheckpoints(), revoking=give_up, assigned=lambda _: None, client=clients.make)
    await source.start()
    (client,) = clients
    joining = client._coordinator._coordination_task = asyncio.ensure_future(client.revoked())
    async with asyncio.timeout(10):
        while source.moving or source.positions:
            await asyncio.sleep(0)
    with pytest.raises(BrokerUnavailable, match="REPLOG_KAFKA_GROUP_INSTANCE_ID=one"):
        await source.check()
    assert not await source.poll(0)
    await source.stop()
    assert joining.cancelled()


async def test_a_client_that_joins_while_it_stops_gets_nothing(clients: Clients) -> None:
    source = KafkaSource(
        CollectorSettings(kafka_group_instance_id="one"),
        MemoryCheckpoints(),
        revoking=give_up,
        assigned=lambda _: None,
        client=clients.make,
    )
    await source.start()
    (client,) = clients
    client.stopping.clear()
    stopping = asyncio.create_task(source.stop())
    await asyncio.sleep(0)
    await client.revoked()
    await client.assigned([PARTITION])
    client.stopping.set()
    await stopping
    assert (source.moving, source.positions, client.sought) == (True, {}, [0])
