"""A static member whose name another one has taken waits, and tells why."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError
from structlog.testing import capture_logs

from replog.errors import BrokerUnavailable
from replog_collector.backoff import Backoff
from replog_collector.kafka.group.instance_id import InstanceId

FREE, FENCED, LOADING, OTHER_COORDINATOR, UNKNOWN_MEMBER = 0, 82, 14, 16, 25


class Coordinator:
    """The client's part that speaks to the group's coordinator, with what is answered: error codes, or raised."""

    def __init__(self, *answers: int | Exception) -> None:
        self.generation, self.member_id = 3, "member"
        self.answers = list(answers)
        self.asked: list[tuple[object, ...]] = []
        self.dead = 0

    async def ensure_coordinator_known(self) -> None:
        await asyncio.sleep(0)

    def coordinator_dead(self) -> None:
        self.dead += 1

    async def _send_req(self, request: Any) -> Any:
        self.asked.append(request._fields)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(error_code=answer)


def instance_id(value: str | None = "one") -> InstanceId:
    return InstanceId("group", value, backoff=lambda: Backoff(first_s=0, cap_s=0))


async def waited(name: InstanceId, coordinator: Coordinator) -> list[dict[str, Any]]:
    """What is logged until the name is free."""
    consumer = SimpleNamespace(_coordinator=coordinator)
    name.joined(consumer)
    with capture_logs() as lines:
        async with asyncio.timeout(10):
            await name.wait_until_free(consumer)
    assert coordinator.answers == []
    assert not name.taken
    return [dict(line) for line in lines]


async def test_it_waits_while_another_member_has_the_name_and_says_so_once() -> None:
    coordinator = Coordinator(FENCED, FENCED, KafkaConnectionError(), LOADING, FENCED, UNKNOWN_MEMBER)
    lines = await waited(instance_id(), coordinator)
    expected = {"event": "instance_id_taken", "log_level": "error", "instance_id": "one", "group": "group"}
    assert lines == [expected]
    assert set(coordinator.asked) == {("group", 3, "member", "one")}


@pytest.mark.parametrize(
    "answer", [FREE, UNKNOWN_MEMBER, 22, 27, GroupAuthorizationFailedError(), NotImplementedError()]
)
async def test_it_does_not_wait_for_anything_else(answer: int | Exception) -> None:
    """Joining tells the rest; and a broker may be too old to know of such names."""
    assert await waited(instance_id(), Coordinator(answer)) == []


async def test_a_coordinator_that_moved_is_looked_for() -> None:
    coordinator = Coordinator(OTHER_COORDINATOR, FREE)
    assert await waited(instance_id(), coordinator) == []
    assert coordinator.dead == 1


async def test_a_member_without_a_name_asks_nothing() -> None:
    coordinator = Coordinator()
    assert await waited(instance_id(None), coordinator) == []
    assert coordinator.asked == []


async def test_while_it_waits_it_is_not_ready_and_the_cause_is_told() -> None:
    name, coordinator = instance_id(), Coordinator(FENCED, FREE)
    consumer = SimpleNamespace(_coordinator=coordinator)
    name.joined(consumer)
    name.check()
    waiting = asyncio.create_task(name.wait_until_free(consumer))
    async with asyncio.timeout(10):
        while not name.taken:
            await asyncio.sleep(0)
    with pytest.raises(BrokerUnavailable, match="REPLOG_KAFKA_GROUP_INSTANCE_ID=one: another collector of group group"):
        name.check()
    await waiting
    name.check()
