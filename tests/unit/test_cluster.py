"""How calls find their masters, on a cluster whose nodes answer as they are told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis import exceptions
from redis.crc import key_slot

from replog.store.client.cluster import Cluster
from replog.store.client.command import Command
from replog.store.client.epoch import Epoch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.redis_url import Address

A, B, C = ("a", 1), ("b", 2), ("c", 3)
MIDDLE, LAST = 8191, 16383
#: In the lower half of the slots, and in the upper.
LOW, HIGH = b"{3}", b"{0}"


class FakeNode:
    """Answers a call with its first key, or with what stands in ``told`` for that."""

    def __init__(self, ranges: list[Any]) -> None:
        self.ranges = ranges
        self.told: dict[bytes, list[Any]] = {}
        self.got: list[bytes] = []
        self.down = False
        self.closed = False

    async def send(self, calls: Sequence[Command]) -> list[Any]:
        await asyncio.sleep(0)
        if self.down:
            raise exceptions.ConnectionError("down")
        return [self._answer(call.keys[0]) for call in calls]

    async def send_asking(self, call: Command) -> list[Any]:
        self.got.append(b"ASKING")
        return await self.send([call])

    async def slots(self) -> list[Any]:
        if self.down:
            raise exceptions.ConnectionError("down")
        return self.ranges

    async def infos(self, section: str) -> list[dict[str, Any]]:
        return [{"redis_version": "7.0.0"}]

    async def close(self) -> None:
        self.closed = True

    def _answer(self, key: bytes) -> Any:
        self.got.append(key)
        return self.told[key].pop(0) if self.told.get(key) else key


class FakeNodes(dict[Any, FakeNode]):
    """Nodes A and B, which share the slots, and C, which has none."""

    def __init__(self) -> None:
        ranges = [[0, MIDDLE, [b"a", 1, b"id"]], [MIDDLE + 1, LAST, [b"b", 2, b"id"]]]
        super().__init__({A: FakeNode(ranges), B: FakeNode(ranges), C: FakeNode(ranges)})
        self.epoch = Epoch()

    def cluster(self, *seeds: Address) -> Cluster:
        return Cluster(seeds or (A,), self.__getitem__, self.epoch)  # type: ignore[arg-type]


@pytest.fixture
def nodes() -> FakeNodes:
    return FakeNodes()


def calls(*keys: bytes) -> list[Command]:
    return [Command("GET", [key]) for key in keys]


async def test_replies_come_in_the_order_of_the_calls(nodes: FakeNodes) -> None:
    keys = [LOW + b"1", HIGH + b"1", LOW + b"2", HIGH + b"2"]
    assert await nodes.cluster().send(calls(*keys)) == keys
    assert nodes[A].got == keys[::2]
    assert nodes[B].got == keys[1::2]


async def test_a_slot_that_moved_is_found_at_once_and_remembered(nodes: FakeNodes) -> None:
    cluster, keys = nodes.cluster(), [LOW + b"1", LOW + b"2"]
    slot = key_slot(LOW)
    nodes[A].told = {key: [exceptions.MovedError(f"{slot} c:3")] * 2 for key in keys}
    assert await cluster.send(calls(*keys)) == keys
    nodes[A].got.clear()
    assert await cluster.send(calls(*keys)) == keys
    assert (nodes[A].got, nodes[C].got) == ([], keys * 2)


async def test_a_redirection_without_a_host_means_the_one_that_was_asked(nodes: FakeNodes) -> None:
    nodes[("a", 3)] = nodes[C]
    nodes[A].told = {LOW: [exceptions.MovedError(f"{key_slot(LOW)} :3")] * 2}
    assert await nodes.cluster().send(calls(LOW)) == [LOW]
    assert nodes[C].got == [LOW]


async def test_what_overtook_a_redirected_call_is_sent_again(nodes: FakeNodes) -> None:
    first, second = LOW + b"1", LOW + b"2"
    nodes[A].told = {first: [exceptions.AskError(f"{key_slot(LOW)} c:3")] * 2, second: [b"too early", b"in order"]}
    assert await nodes.cluster().send(calls(first, second, HIGH)) == [first, b"in order", HIGH]
    assert nodes[C].got == [b"ASKING", first]


async def test_keys_that_are_apart_are_the_reply(nodes: FakeNodes) -> None:
    nodes[A].told = {LOW: [exceptions.AskError(f"{key_slot(LOW)} c:3")] * 2}
    nodes[C].told = {LOW: [exceptions.TryAgainError("not all keys are here")]}
    (reply,) = await nodes.cluster().send(calls(LOW))
    assert isinstance(reply, exceptions.TryAgainError)


async def test_redirections_in_a_circle_end(nodes: FakeNodes) -> None:
    slot = key_slot(LOW)
    nodes[A].told = {LOW: [exceptions.MovedError(f"{slot} c:3")] * 100}
    nodes[C].told = {LOW: [exceptions.MovedError(f"{slot} a:1")] * 100}
    (reply,) = await nodes.cluster().send(calls(LOW))
    assert isinstance(reply, exceptions.MovedError)


async def test_after_a_failure_another_node_is_asked_who_took_over(nodes: FakeNodes) -> None:
    cluster = nodes.cluster()
    await cluster.send(calls(LOW))
    nodes[A].down = True
    with pytest.raises(exceptions.ConnectionError):
        await cluster.send(calls(LOW, HIGH))
    assert nodes[B].got == [HIGH]
    nodes[B].ranges = [[0, MIDDLE, [b"c", 3, b"id"]], [MIDDLE + 1, LAST, [b"b", 2, b"id"]]]
    assert await cluster.send(calls(LOW, HIGH)) == [LOW, HIGH]


async def test_a_node_that_left_is_closed(nodes: FakeNodes) -> None:
    cluster = nodes.cluster(B)
    await cluster.send(calls(LOW))
    nodes[A].down = True
    with pytest.raises(exceptions.ConnectionError):
        await cluster.send(calls(LOW))
    nodes[B].ranges = [[0, LAST, [b"b", 2, b"id"]]]
    assert await cluster.send(calls(LOW)) == [LOW]
    assert nodes[A].closed


async def test_a_slot_without_a_master_is_an_error(nodes: FakeNodes) -> None:
    cluster = nodes.cluster()
    nodes[A].ranges = nodes[A].ranges[1:]
    with pytest.raises(exceptions.ClusterDownError):
        await cluster.send(calls(LOW))
    nodes[A].ranges = nodes[C].ranges = FakeNodes()[A].ranges
    assert await cluster.send(calls(LOW)) == [LOW]


async def test_every_master_is_asked_what_it_is(nodes: FakeNodes) -> None:
    assert len(await nodes.cluster().infos("server")) == 2


async def test_seeds_that_do_not_answer_are_passed_over(nodes: FakeNodes) -> None:
    nodes[A].down = True
    assert await nodes.cluster(A, B).send(calls(HIGH)) == [HIGH]
    nodes[B].down = True
    with pytest.raises(exceptions.ConnectionError):
        await nodes.cluster(A, B).send(calls(HIGH))


async def test_another_master_of_a_slot_begins_an_epoch(nodes: FakeNodes) -> None:
    """It may have less than the one before, and the driver may have been connected to it all the time."""
    cluster = nodes.cluster()
    await cluster.send(calls(LOW, HIGH))
    first = nodes.epoch.number
    await cluster.send(calls(LOW, HIGH))
    assert nodes.epoch.number == first
    nodes[B].down = True
    with pytest.raises(exceptions.ConnectionError):
        await cluster.send(calls(HIGH))
    nodes[A].ranges[1][2] = [b"c", 3, b"id"]
    await cluster.send(calls(HIGH))
    assert nodes.epoch.number == first + 1


async def test_a_slot_that_moved_begins_an_epoch(nodes: FakeNodes) -> None:
    cluster = nodes.cluster()
    await cluster.send(calls(LOW))
    first = nodes.epoch.number
    nodes[A].told = {LOW: [exceptions.MovedError(f"{key_slot(LOW)} c:3")] * 2}
    await cluster.send(calls(LOW))
    assert nodes.epoch.number > first
