"""The instance id of a static member (``group.instance.id``), which no other member of the group may use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Int16, Int32, Schema, String

from replog.errors import InstanceIdTaken
from replog.settings import variable
from replog.telemetry import logger
from replog_collector.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

#: Kafka's error FENCED_INSTANCE_ID: another member has joined with the same instance id since. aiokafka has no class
#: for it, and does not send the instance id in the requests that Kafka would answer so.
_FENCED = 82
#: Errors of a broker that is not the group's coordinator any more.
_OTHER_COORDINATOR = (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError)


class InstanceId:
    """The instance id ``value`` of a member of ``group_id``; None for a dynamic member, which is always free to join.

    A member that joins with an id in use evicts the member that had it. That one would join again and evict the other
    in turn, for ever. Instead it waits until the id is free, which the broker tells without evicting anybody.
    """

    def __init__(self, group_id: str, value: str | None, *, backoff: Callable[[], Backoff] = Backoff) -> None:
        self._group_id = group_id
        self._value = value
        self._backoff = backoff
        #: Generation and member id that the broker last gave for this instance id.
        self._joined: tuple[int, str] | None = None
        #: Whether another member has the id, and this one waits.
        self.taken = False

    def joined(self, consumer: Any) -> None:
        """Remember the generation and member id that ``consumer`` has joined with."""
        if self._value is not None:
            coordinator = consumer._coordinator  # noqa: SLF001 - nothing public tells
            self._joined = (coordinator.generation, coordinator.member_id)

    def check(self) -> None:
        """Return where this member has its id. Raises InstanceIdTaken."""
        if self.taken:
            raise InstanceIdTaken(
                f"{variable('kafka_group_instance_id')}={self._value}: another collector of group {self._group_id} "
                "has joined with this name; each needs one of its own"
            )

    async def wait_until_free(self, consumer: Any) -> None:
        """Return once no other member has the id, asking with back-off; at once where none has it."""
        backoff = self._backoff()
        while self._joined:
            if not await self._must_wait(consumer._coordinator, self._joined):  # noqa: SLF001
                break
            await asyncio.sleep(backoff.next_s())
        self.taken = False

    async def _must_wait(self, coordinator: Any, joined: tuple[int, str]) -> bool:
        try:
            await coordinator.ensure_coordinator_known()
            answer = await coordinator._send_req(_NamedHeartbeat(self._group_id, *joined, self._value))  # noqa: SLF001
        except KafkaError as error:
            return error.retriable
        except NotImplementedError:
            # Raised by aiokafka where the broker is too old for the request, and so for instance ids.
            return False
        if answer.error_code == _FENCED:
            self._tell()
            return True
        error_type = for_code(answer.error_code)
        if error_type in _OTHER_COORDINATOR:
            coordinator.coordinator_dead()
        return error_type in (*_OTHER_COORDINATOR, GroupLoadInProgressError)

    def _tell(self) -> None:
        if not self.taken:
            self.taken = True
            logger().error("instance_id_taken", instance_id=self._value, group=self._group_id)


class _NamedHeartbeatResponse(Response):
    API_KEY = 12
    API_VERSION = 3
    SCHEMA = Schema(("throttle_time_ms", Int32), ("error_code", Int16))


class _NamedHeartbeatStruct(RequestStruct):
    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = _NamedHeartbeatResponse
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


class _NamedHeartbeat(Request[_NamedHeartbeatStruct]):
    """A heartbeat with the instance id; aiokafka's own have none."""

    API_KEY = 12

    def __init__(self, *fields: object) -> None:
        self._fields = fields

    def build(self, request_struct_class: type[_NamedHeartbeatStruct]) -> _NamedHeartbeatStruct:
        return request_struct_class(*self._fields)
