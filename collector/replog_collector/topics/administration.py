"""Questions to a Kafka cluster about topics and a consumer group. Nothing is changed, and no group is joined."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from aiokafka import TopicPartition, errors
from aiokafka.admin.config_resource import ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.protocol.admin import DescribeConfigsRequest, DescribeGroupsRequest
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest

from replog.errors import AuthenticationFailed, BrokerRefused, BrokerUnavailable
from replog.publisher.kafka_client import REFUSALS, client_options, connected
from replog_collector.kafka.offsets.topic_queries import Place, offsets_of
from replog_collector.topics.descriptions import (
    GroupDescription,
    Member,
    PartitionOffsets,
    Replicas,
    TopicDescription,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

    from replog.settings import KafkaSettings
    from replog_collector.topics.descriptions import TopicSettings

T = TypeVar("T")

#: Kind of coordinator that a FindCoordinator request asks for: that of a consumer group.
_OF_GROUP = 0
#: Seconds between two tries of a call that may succeed soon, such as while a coordinator is being chosen.
_RETRY_S = 0.2
#: Seconds in which the connections are closed.
_CLOSE_S = 1.0
_DENIED = (
    *REFUSALS,
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
)
_UNSUPPORTED = (errors.IncompatibleBrokerVersion, errors.UnsupportedVersionError)


class Administration:
    """A connection to the brokers of ``settings``, opened and closed by ``async with``.

    Every call raises :class:`~replog.errors.BrokerUnavailable` where they do not answer within ``timeout_s``, and
    :class:`~replog.errors.BrokerRefused` where they deny the call to this user or do not know it. Opening it raises
    :class:`~replog.errors.SettingsError` where credentials are missing.
    """

    def __init__(self, settings: KafkaSettings, *, timeout_s: float) -> None:
        self._settings = settings
        self._servers = settings.kafka_bootstrap_servers
        self._timeout_s = timeout_s
        self._timeout_ms = int(timeout_s * 1000)
        self._options = client_options(settings)
        self._client: Any = None

    async def __aenter__(self) -> Self:
        # The client takes the running event loop when it is made.
        self._client = AIOKafkaClient(**self._options, request_timeout_ms=self._timeout_ms)
        try:
            await self._within(self._connect)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def topics(self, names: Sequence[str]) -> dict[str, TopicDescription]:
        """The topics of these names that exist. None is created by the question."""
        return await self._within(lambda: self._topics(names))

    async def settings(self, topic: str) -> TopicSettings:
        """The settings of a topic, its brokers' defaults included. Needs the right DESCRIBE_CONFIGS on the topic."""
        return await self._within(lambda: self._settings_of(topic))

    async def group(self, group: str, topic: str) -> GroupDescription:
        """A consumer group, as far as it has to do with ``topic``."""
        return await self._within(lambda: self._group(group, topic))

    async def offsets(self, group: str, topic: str, partitions: Collection[int]) -> dict[int, PartitionOffsets]:
        """Offsets of partitions, and what ``group`` has committed there."""
        return await self._within(lambda: self._offsets(group, topic, partitions))

    async def _within(self, call: Callable[[], Awaitable[T]]) -> T:
        with _translated(self._servers):
            async with asyncio.timeout(self._timeout_s):
                return await _until_settled(call)

    async def _connect(self) -> None:
        await connected(self._client.bootstrap, self._settings)

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._client.close()
        except TimeoutError:
            # Connections that hang are closed with the process.
            return

    async def _topics(self, names: Sequence[str]) -> dict[str, TopicDescription]:
        answer = await self._ask(MetadataRequest(list(names), allow_auto_topic_creation=False))
        found = {}
        for code, name, _internal, partitions in answer.topics:
            error = errors.for_code(code)
            if error is errors.UnknownTopicOrPartitionError:
                continue
            # Each partition says whether it is led.
            if error not in (errors.NoError, errors.LeaderNotAvailableError):
                raise error(name)
            found[name] = TopicDescription(
                name,
                {
                    number: Replicas(len(replicas), len(in_step), led=leader >= 0)
                    for _, number, leader, replicas, in_step, *_ in partitions
                },
            )
        self._client.cluster.update_metadata(answer)
        return found

    async def _settings_of(self, topic: str) -> TopicSettings:
        answer = await self._ask(DescribeConfigsRequest([(ConfigResourceType.TOPIC, topic, None)]))
        ((code, message, _kind, _name, entries),) = answer.resources
        _check(code, message or topic)
        return settings_of({name: value for name, value, *_ in entries})

    async def _group(self, group: str, topic: str) -> GroupDescription:
        coordinator = await self._coordinator(group)
        answer = await self._client.send(coordinator, DescribeGroupsRequest([group]))
        code, _group, state, _type, _protocol, members, *_ = answer.groups[0]
        _check(code, group)
        return GroupDescription(
            state,
            tuple(
                Member(client_id, host.removeprefix("/"), _assigned(assignment, topic))
                for _, client_id, host, _, assignment in members
            ),
        )

    async def _offsets(self, group: str, topic: str, partitions: Collection[int]) -> dict[int, PartitionOffsets]:
        await self._topics([topic])
        asked = [TopicPartition(topic, number) for number in partitions]
        firsts, stable = await offsets_of(self._client, asked, Place.FIRST, Place.STABLE)
        committed = await self._committed(group, topic, partitions)
        return {
            partition.partition: PartitionOffsets(
                firsts[partition], stable[partition], committed.get(partition.partition)
            )
            for partition in asked
        }

    async def _committed(self, group: str, topic: str, partitions: Collection[int]) -> dict[int, int]:
        coordinator = await self._coordinator(group)
        answer = await self._client.send(coordinator, OffsetFetchRequest(group, [(topic, sorted(partitions))]))
        _check(getattr(answer, "error_code", 0), group)
        found = {}
        for _topic, offsets in answer.topics:
            for number, offset, _metadata, code in offsets:
                _check(code, f"{topic} {number}")
                if offset >= 0:
                    found[number] = offset
        return found

    async def _coordinator(self, group: str) -> int:
        answer = await self._ask(FindCoordinatorRequest(group, _OF_GROUP))
        _check(answer.error_code, group)
        return int(answer.coordinator_id)

    async def _ask(self, request: Any) -> Any:
        node = self._client.get_random_node()
        if node is None:
            raise errors.NodeNotReadyError("no broker is known")
        return await self._client.send(node, request)


async def _until_settled(call: Callable[[], Awaitable[T]]) -> T:
    """The result of ``call``, repeated while the broker says that it may succeed soon; the caller limits the time."""
    while True:
        try:
            return await call()
        except errors.KafkaConnectionError:
            raise
        except errors.KafkaError as error:
            if not error.retriable:
                raise
        await asyncio.sleep(_RETRY_S)


@contextmanager
def _translated(servers: str) -> Iterator[None]:
    try:
        yield
    except AuthenticationFailed as error:
        raise BrokerRefused("denied", str(error)) from error
    except _DENIED as error:
        raise BrokerRefused("denied", f"{servers}: {_text(error)}") from error
    except _UNSUPPORTED as error:
        raise BrokerRefused("unsupported", f"{servers}: {_text(error)}") from error
    except TimeoutError as error:
        raise BrokerUnavailable(f"{servers}: no answer in time") from error
    except (errors.KafkaError, OSError) as error:
        raise BrokerUnavailable(f"{servers}: {_text(error)}") from error


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _check(code: int, of: str) -> None:
    error = errors.for_code(code)
    if error is not errors.NoError:
        raise error(of)


def _assigned(assignment: bytes, topic: str) -> tuple[int, ...]:
    """The partitions of ``topic`` that a member has; it has none while its group assigns them anew."""
    if not assignment:
        return ()
    partitions = ConsumerProtocolMemberAssignment.decode(assignment).partitions()
    return tuple(sorted(number for name, number in partitions if name == topic))
