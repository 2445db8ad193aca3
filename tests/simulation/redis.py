"""Simulated Redis servers, which fail as real ones do, and the connection of one process to them.

A server runs each command in one step and answers later. It may answer after the caller gave up, having done it all
the same; be away, or refuse; and lose the last writes that it acknowledged, as a failover or a restart does. Each of
several servers, as the masters of a cluster, has some buckets of its own, and loses writes of its own.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from replog.errors import StoreUnavailable
from replog.store.format.keys import BUCKETS
from tests.simulation.keyspace import Keyspace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from replog.store.client.command import Command
    from tests.simulation.loop import SimulatedLoop

#: First part of every key.
PREFIX = "sim"
#: Seconds that a request or an answer takes at most, where nothing holds it up.
LATENCY_S = 0.002
#: Share of cancellations that a driver swallows that does so at all.
SWALLOWED = 0.8
#: The scripts and commands that write.
_WRITES = {"HSET", "UNLINK", "ZREM", "merge", "enlist", "leave", "settle", "erase", "relist", "relisted", "advance"}
_BUCKET = re.compile(rb"\{(\d+)\}")


class Server:
    """One Redis, and what is wrong with it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.keyspace = Keyspace()
        #: Grows whenever another process answers under this address.
        self.run_id = 0
        #: The kind of trouble that each call meets; None where it is well.
        self.trouble: str | None = None
        #: Whether the trouble is met by writes alone.
        self.reads_all_the_same = False
        #: Until when nothing is answered; what came meanwhile is done then.
        self.hangs_until_s = 0.0
        #: How many times it lost writes that it had acknowledged.
        self.losses = 0

    def lose(self, calls: int) -> None:
        """Come back as another process without the last ``calls`` that changed something."""
        self.keyspace.lose(calls)
        self.run_id += 1
        self.losses += 1

    def refuses(self, call: Command) -> bool:
        """Whether it answers this call with its trouble."""
        if self.trouble is None:
            return False
        name = call.command if isinstance(call.command, str) else call.command.name
        return not self.reads_all_the_same or name in _WRITES


class SimulatedRedis:
    """All servers of one store."""

    def __init__(self, loop: SimulatedLoop, chance: Random, servers: int = 1) -> None:
        self.loop = loop
        self.chance = chance
        self.servers = [Server(number) for number in range(servers)]
        self._server_of: dict[bytes, Server] = {}

    def server_of_bucket(self, bucket: int) -> Server:
        """The server that has a bucket."""
        return self.servers[bucket * len(self.servers) // BUCKETS]

    def server_of(self, key: bytes) -> Server:
        """The server that has a key."""
        server = self._server_of.get(key)
        if server is None:
            found = _BUCKET.search(key)
            assert found, key
            server = self._server_of[key] = self.server_of_bucket(int(found[1]))
        return server

    def bucket_content(self, bucket: int, key: bytes) -> dict[bytes, Any]:
        """What ``key`` of a bucket holds, as no client sees it: for judges."""
        return self.server_of_bucket(bucket).keyspace.content(key)


class _Request:
    """Commands that one server gets in one go, and their replies."""

    __slots__ = ("calls", "places", "server")

    def __init__(self, server: Server) -> None:
        self.server = server
        self.calls: list[Command] = []
        self.places: list[int] = []


class SimulatedConnection:
    """The store's ``CommandRunner`` of one process. It notices other server processes as the real one does.

    Where it ``swallows``, a cancelled call may raise an error of its own instead.
    """

    prefix = PREFIX

    def __init__(self, redis: SimulatedRedis, *, timeout_s: float, swallows: bool = False) -> None:
        self._redis = redis
        self._swallows = swallows
        self._loop = redis.loop
        self._timeout_s = timeout_s
        self._known_run_ids: dict[int, int] = {}
        #: As of :class:`replog.store.client.connection.Connection`.
        self.epoch = 0

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        """The replies of the simulated servers, or the trouble that they are in."""
        if not calls:
            return []
        requests: dict[int, _Request] = {}
        for place, call in enumerate(calls):
            server = self._redis.server_of(call.keys[0])
            request = requests.get(server.number)
            if request is None:
                request = requests[server.number] = _Request(server)
            request.calls.append(call)
            request.places.append(place)
        return await self._send(list(requests.values()), len(calls))

    async def _send(self, requests: list[_Request], count: int) -> list[Any]:
        loop, draw = self._loop, self._redis.chance.random
        answer: asyncio.Future[list[Any]] = loop.create_future()
        replies: list[Any] = [None] * count
        left = [len(requests)]
        for request in requests:
            loop.in_world(LATENCY_S * draw(), self._arrive, request, replies, left, answer)
        alarm = loop.call_later(self._timeout_s, _give_up, answer)
        try:
            return await answer
        except asyncio.CancelledError:
            # asyncio.wait_for of Python 3.11, which drivers use, swallows a cancellation that comes with an answer or
            # an error.
            if self._swallows and draw() < SWALLOWED:
                raise StoreUnavailable("connection", "simulated: the connection broke") from None
            raise
        finally:
            alarm.cancel()

    def _arrive(self, request: _Request, replies: list[Any], left: list[int], answer: asyncio.Future[Any]) -> None:
        server, loop = request.server, self._loop
        if server.hangs_until_s > loop.now_s:
            loop.in_world(server.hangs_until_s - loop.now_s, self._arrive, request, replies, left, answer)
            return
        error = None
        run_id = server.run_id
        for place, call in zip(request.places, request.calls, strict=True):
            if server.refuses(call):
                error = server.trouble
            else:
                replies[place] = server.keyspace.run(call)
        delay_s = LATENCY_S * self._redis.chance.random()
        loop.in_world(delay_s, self._answer, (server.number, run_id, error), replies, left, answer)

    def _answer(
        self, of: tuple[int, int, str | None], replies: list[Any], left: list[int], answer: asyncio.Future[Any]
    ) -> None:
        number, run_id, error = of
        if answer.done():
            return
        if self._redis.servers[number].run_id != run_id:
            # The process that was asked is gone, and with it the connection.
            error = "connection"
        elif self._known_run_ids.get(number) != run_id:
            self._known_run_ids[number] = run_id
            self.epoch += 1
        if error is not None:
            answer.set_exception(StoreUnavailable(error, f"simulated: server {number}"))
            return
        left[0] -= 1
        if not left[0]:
            answer.set_result(replies)


def _give_up(answer: asyncio.Future[Any]) -> None:
    if not answer.done():
        answer.set_exception(StoreUnavailable("timeout", "simulated: no answer in time"))
