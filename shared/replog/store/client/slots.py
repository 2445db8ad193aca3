"""The map of slots of a Redis Cluster: the master that serves each, as far as is known."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from redis import exceptions
from redis.crc import REDIS_CLUSTER_HASH_SLOTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from replog.redis_url import Address
    from replog.store.client.epoch import Epoch


class SlotMap:
    """Learned from the first node that answers, and again after :meth:`doubt`.

    Another master of a slot begins an ``epoch``: after a failover it may have less.
    """

    def __init__(self, seeds: Sequence[Address], ask: Callable[[Address], Awaitable[list[Any]]], epoch: Epoch) -> None:
        self._seeds = seeds
        self._ask = ask
        self._epoch = epoch
        self._owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._nodes = deque(seeds)
        self._stale = True
        self._learning = asyncio.Lock()

    @property
    def nodes(self) -> set[Address]:
        """All nodes that may be asked: what is no longer among them has left the cluster."""
        return set(self._nodes)

    @property
    def masters(self) -> set[Address]:
        """All nodes that serve a slot."""
        return {owner for owner in self._owners if owner}

    def owner(self, slot: int) -> Address:
        """The master that serves ``slot``.

        Raises:
            ClusterDownError: none does.
        """
        owner = self._owners[slot]
        if owner is None:
            self.doubt()
            raise exceptions.ClusterDownError(f"slot {slot} is served by no master")
        return owner

    def moved(self, slot: int, address: Address) -> None:
        """Note that ``slot`` is served at ``address`` now."""
        self._owners[slot] = address
        self._epoch.advance()

    def doubt(self, failed: Address | None = None) -> None:
        """Learn again before the next use; from another node than ``failed`` if one answers."""
        self._stale = True
        if failed is not None and failed in self._nodes:
            self._nodes.remove(failed)
            self._nodes.append(failed)

    async def learn(self) -> bool:
        """Learn, where that is due, and return whether it was; raises the driver's error where no node answers."""
        if not self._stale:
            return False
        async with self._learning:
            return await self._ask_around()

    async def _ask_around(self) -> bool:
        failures: list[Exception] = []
        # Others may have learned meanwhile.
        for asked in tuple(self._nodes) if self._stale else ():
            # The next time another is asked: this one may be cut off from the others, and not know.
            self.doubt(asked)
            try:
                ranges = await self._ask(asked)
            except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
                failures.append(error)
            else:
                self._know(ranges, asked)
                return True
        if failures:
            raise failures[-1]
        return False

    def _know(self, ranges: list[Any], asked: Address) -> None:
        before, self._owners = self._owners, [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, (host, port, *_), *_ in ranges:
            self._owners[first : last + 1] = [address_of(host, port, asked=asked)] * (last + 1 - first)
        if self._owners != before:
            self._epoch.advance()
        known = dict.fromkeys([*_nodes_of(ranges, asked), *self._seeds])
        self._nodes = deque(sorted(known, key=asked.__eq__))
        self._stale = False


def address_of(host: bytes | str | None, port: int, *, asked: Address) -> Address:
    """A node's address; one that does not know its own name is meant by that under which it was asked."""
    name = host.decode() if isinstance(host, bytes) else host
    return (asked[0] if name in {None, "", "?"} else str(name), port)


def _nodes_of(ranges: list[Any], asked: Address) -> Iterator[Address]:
    for _, _, *nodes in ranges:
        for host, port, *_ in nodes:
            yield address_of(host, port, asked=asked)
