"""One Redis server: sends it calls in one go, and loads the scripts that it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from replog.store import scripts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.redis_url import Address, RedisUrl
    from replog.store.call import Call


class Node:
    """One server behind ``client``, which it owns.

    Every method raises the driver's ``RedisError`` where the server cannot be reached or breaks off; what it answers
    to a call is a reply, also where that is an error.
    """

    def __init__(self, client: Redis) -> None:
        self._redis = client

    async def send(self, calls: Sequence[Call]) -> list[Any]:
        """Send ``calls`` in one go, in order, and return their replies."""
        replies = await self._send(calls)
        missing = [i for i, reply in enumerate(replies) if isinstance(reply, exceptions.NoScriptError)]
        if missing:
            await self._load_scripts()
            for i, reply in zip(missing, await self._send([calls[i] for i in missing]), strict=True):
                replies[i] = reply
        return replies

    async def send_asking(self, call: Call) -> list[Any]:
        """As :meth:`send`, for one call whose keys this node of a cluster is about to take over."""
        reply = await self._send_asking(call)
        if isinstance(reply, exceptions.NoScriptError):
            await self._load_scripts()
            reply = await self._send_asking(call)
        return [reply]

    async def infos(self) -> list[dict[str, Any]]:
        """What the server says of itself."""
        return [await self._redis.info("server")]

    async def slots(self) -> list[Any]:
        """Who serves which slots, as this node of a cluster sees it."""
        found: list[Any] = await self._redis.execute_command("CLUSTER", "SLOTS")
        return found

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def _send(self, calls: Sequence[Call]) -> list[Any]:
        if len(calls) == 1:
            return [await self._send_one(calls[0])]
        async with self._redis.pipeline(transaction=False) as pipeline:
            for call in calls:
                pipeline.execute_command(*call.words())
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
            return replies

    async def _send_one(self, call: Call) -> Any:
        try:
            return await self._redis.execute_command(*call.words())
        except exceptions.ResponseError as error:
            return error

    async def _send_asking(self, call: Call) -> Any:
        # ASKING counts for the next command of the same connection: a pipeline is one.
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.execute_command("ASKING")
            pipeline.execute_command(*call.words())
            return (await pipeline.execute(raise_on_error=False))[1]

    async def _load_scripts(self) -> None:
        for script in scripts.ALL:
            await self._redis.script_load(script.text)


def patience(timeout_s: float) -> dict[str, Any]:
    """Options of connections that give up after ``timeout_s`` and never try again by themselves."""
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        # The callers know what may be tried again, and when.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }


def server_options(url: RedisUrl) -> dict[str, Any]:
    """Options of connections to any server of ``url``: credentials, database, TLS."""
    options = dict(parse_url(url.server))
    return {name: value for name, value in options.items() if name not in {"host", "port"}}


def open_node(url: RedisUrl, address: Address | None, *, timeout_s: float, pool_size: int) -> Node:
    """The server at ``address``, or the one of a URL that names one alone; nothing is sent yet."""
    # A burst waits for a connection instead of failing.
    options: dict[str, Any] = {"max_connections": pool_size, "timeout": timeout_s, **patience(timeout_s)}
    if address is None:
        return Node(Redis.from_pool(BlockingConnectionPool.from_url(url.server, **options)))
    host, port = address
    pool = BlockingConnectionPool(host=host, port=port, **server_options(url), **options)
    return Node(Redis.from_pool(pool))
