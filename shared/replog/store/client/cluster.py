"""A Redis Cluster: sends each call to the master that serves its slot, wherever that has moved to.

The driver's own cluster client is not used: it sends ASKING and the command that it is for over different connections
of its pool, changes the order of calls when it follows a redirection, and does not look for a new master where a
pipeline fails.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeVar

from redis import exceptions
from redis.crc import key_slot

from replog.cancellation import finish_all
from replog.store.client.slots import SlotMap, address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from replog.redis_url import Address
    from replog.store.client.command import Command
    from replog.store.client.epoch import Epoch
    from replog.store.client.node import Node

T = TypeVar("T")

#: Redirections that one call follows before its error is its answer.
HOPS = 5


class Cluster:
    """As :class:`replog.store.client.node.Node`, over all masters of a cluster, found by ``seeds``.

    The order of calls is kept for each master, and for each slot also where the slot is on the move.
    """

    def __init__(self, seeds: Sequence[Address], open_node: Callable[[Address], Node], epoch: Epoch) -> None:
        self._open_node = open_node
        self._nodes: dict[Address, Node] = {}
        self._slots = SlotMap(seeds, lambda address: self._node(address).slots(), epoch)

    async def send(self, calls: Sequence[Command]) -> list[Any]:
        """The replies to ``calls``; those to different masters are sent at the same time."""
        await self._learn()
        slots = [key_slot(call.keys[0]) for call in calls]
        replies = await self._send_to_owners(calls, slots)
        redirected = {slots[i] for i, reply in enumerate(replies) if isinstance(reply, exceptions.AskError)}
        for slot in redirected:
            await self._send_in_order(slot, calls, [i for i, other in enumerate(slots) if other == slot], replies)
        if any(isinstance(reply, _OUTDATED) for reply in replies):
            self._slots.doubt()
        return replies

    async def infos(self, section: str) -> list[dict[str, Any]]:
        """A section of the server information of every master."""
        return await self._of_masters(lambda master: master.infos(section))

    async def ask(self, *words: str) -> list[Any]:
        """The replies of all masters to a command about the server itself; an error that one answers is a reply."""
        return await self._of_masters(lambda master: master.ask(*words))

    async def missing_rights(self) -> list[str]:
        """Rights that the user lacks at any master, as rules for the access list."""
        await self._learn()
        missing = await self._gather({master: self._node(master).missing_rights() for master in self._slots.masters})
        return list(dict.fromkeys(rule for rules in missing.values() for rule in rules))

    async def close(self) -> None:
        """Close the connections to all nodes."""
        await finish_all(*(node.close() for node in self._nodes.values()))

    async def _send_to_owners(self, calls: Sequence[Command], slots: list[int]) -> list[Any]:
        parts: dict[Address, list[int]] = defaultdict(list)
        for i, slot in enumerate(slots):
            parts[self._slots.owner(slot)].append(i)
        answers = await self._gather(
            {owner: self._node(owner).send([calls[i] for i in part]) for owner, part in parts.items()}
        )
        replies: list[Any] = [None] * len(calls)
        for owner, part in parts.items():
            for i, reply in zip(part, answers[owner], strict=True):
                replies[i] = reply
        return replies

    async def _send_in_order(self, slot: int, calls: Sequence[Command], indices: list[int], replies: list[Any]) -> None:
        """Send one by one what stands in a slot on the move, from the first call that was redirected."""
        # Also what was answered behind it: it has overtaken, and calls are safe to repeat.
        first = next(at for at, i in enumerate(indices) if isinstance(replies[i], exceptions.AskError))
        for i in indices[first:]:
            replies[i] = await self._follow(slot, calls[i])
            if isinstance(replies[i], exceptions.ResponseError):
                return

    async def _follow(self, slot: int, call: Command) -> Any:
        for _ in range(HOPS):
            owner = self._slots.owner(slot)
            [reply] = (await self._gather({owner: self._node(owner).send([call])}))[owner]
            if isinstance(reply, exceptions.MovedError):
                self._slots.moved(slot, address_of(reply.host, reply.port, asked=owner))
            elif isinstance(reply, exceptions.AskError):
                target = address_of(reply.host, reply.port, asked=owner)
                [reply] = (await self._gather({target: self._node(target).send_asking(call)}))[target]
            if not isinstance(reply, exceptions.AskError):
                break
        return reply

    async def _of_masters(self, question: Callable[[Node], Coroutine[Any, Any, list[T]]]) -> list[T]:
        await self._learn()
        answers = await self._gather({master: question(self._node(master)) for master in self._slots.masters})
        if not answers:
            self._slots.doubt()
            raise exceptions.ClusterDownError("there is no master")
        return [answer for (answer,) in answers.values()]

    async def _gather(self, asked: dict[Address, Coroutine[Any, Any, list[T]]]) -> dict[Address, list[T]]:
        """The answers by node, once all have come; where a node failed, the map of slots is in doubt."""
        answers = await asyncio.gather(*asked.values(), return_exceptions=True)
        found: dict[Address, list[T]] = {}
        failures: list[BaseException] = []
        for address, answer in zip(asked, answers, strict=True):
            if isinstance(answer, BaseException):
                failures.append(answer)
                self._slots.doubt(address)
            else:
                found[address] = answer
        if failures:
            raise failures[0]
        return found

    def _node(self, address: Address) -> Node:
        if address not in self._nodes:
            self._nodes[address] = self._open_node(address)
        return self._nodes[address]

    async def _learn(self) -> None:
        if await self._slots.learn():
            gone = self._nodes.keys() - self._slots.nodes
            await finish_all(*[self._nodes.pop(address).close() for address in gone])


#: Replies that say that the map of slots is not what it was.
_OUTDATED = (exceptions.AskError, exceptions.ClusterDownError, exceptions.ReadOnlyError)
