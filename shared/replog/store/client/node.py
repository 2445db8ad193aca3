"""One Redis server: sends it calls in one go, loads the scripts that it lacks, and asks it why a call failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from replog.store.client import rights, scripts
from replog.store.client.command import Command
from replog.store.client.connection_pool import WaitingPool
from replog.store.client.driver_connections import adapted, replies_over
from replog.store.client.epoch import Greeting
from replog.store.client.layout_check import LayoutCheck

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from replog.redis_url import Address
    from replog.store.client.credentials import CurrentUrl
    from replog.store.client.epoch import Epoch
    from replog.store.client.rights import Needs

T = TypeVar("T")

#: The code of errors that have none of their own: of scripts, in Redis 6.2 of all that goes wrong in them.
_NO_CODE = "ERR"


class Node:
    """One server behind ``client``, which it owns; ``needs`` is what its user has to be allowed.

    Every method raises the driver's ``RedisError`` where the server cannot be reached or breaks off; what it answers
    to a call is a reply, also where that is an error. An error of the code ``ERR`` is one that comes again, while
    nothing keeps the server from taking every command: what the call's keys hold is in its way.
    """

    def __init__(self, client: Redis, needs: Needs) -> None:
        self._redis = client
        pool = client.connection_pool
        pool.connection_class = adapted(pool.connection_class)
        #: By command: what the driver makes of a reply.
        self._readers = dict(client.response_callbacks)
        self._needs = needs

    async def send(self, calls: Sequence[Command]) -> list[Any]:
        """Send ``calls`` in one go, in order, and return their replies."""
        replies = await self._named(self._send(calls))
        errors = [i for i, reply in enumerate(replies) if isinstance(reply, exceptions.ResponseError)]
        missing = [i for i in errors if isinstance(replies[i], exceptions.NoScriptError)]
        if missing:
            await self._named(self._load_scripts())
            for i, reply in zip(missing, await self._send([calls[i] for i in missing]), strict=True):
                replies[i] = reply
        for i in errors:
            replies[i] = await self._explained(replies[i], calls[i])
        return replies

    async def send_asking(self, call: Command) -> list[Any]:
        """As :meth:`send`, for one call whose keys this node of a cluster is about to take over."""
        reply = await self._send_asking(call)
        if isinstance(reply, exceptions.NoScriptError):
            await self._named(self._load_scripts())
            reply = await self._send_asking(call)
        return [await self._explained(reply, call)]

    async def infos(self, section: str) -> list[dict[str, Any]]:
        """A section of the server information, as a list of one."""
        return [await self._named(self._redis.info(section))]

    async def ask(self, *words: str) -> list[Any]:
        """The reply to a command about the server itself, as a list of one; an error that it answers is a reply."""
        try:
            return [await self._redis.execute_command(*words)]
        except exceptions.ResponseError as error:
            return [error]

    async def slots(self) -> list[Any]:
        """The map of slots, as this node of a cluster sees it."""
        found: list[Any] = await self._named(self._redis.execute_command("CLUSTER", "SLOTS"))
        return found

    async def missing_rights(self) -> list[str]:
        """Rights that its user lacks, as rules for the access list."""
        return await rights.missing_rights(self, self._needs)

    async def queue(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """As :class:`replog.store.client.rights.Asked` says."""

        async def queue_and_discard(connection: Any) -> list[Any]:
            # By itself: where it fails, the commands would be run.
            answers = await replies_over(connection, [("MULTI",)])
            if not isinstance(answers[0], exceptions.RedisError):
                answers += await replies_over(connection, [*commands, ("DISCARD",)])
                if isinstance(answers[-1], exceptions.RedisError):
                    await connection.disconnect(nowait=True)
            return answers

        return await self._over_one_connection(queue_and_discard)

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def _explained(self, reply: Any, call: Command) -> Any:
        """``reply``; where it is an error that does not say why it is one, the error that does, or another reply."""
        if isinstance(reply, exceptions.NoPermissionError):
            return await rights.named(self, self._needs, reply)
        if not _has_no_code(reply):
            return reply
        if error := await self._obstacle(rights.key_beside(call.keys[0]) if call.keys else self._needs.key):
            return error
        # What kept it from the call may have ended before it was asked. To repeat a call is safe.
        return await self._send_one(call)

    async def _obstacle(self, key: bytes) -> exceptions.RedisError | None:
        error = await rights.obstacle(self, self._needs, key)
        if isinstance(error, exceptions.NoPermissionError):
            return await rights.named(self, self._needs, error)
        if isinstance(error, exceptions.AskError):
            # Some of the call's keys are still here: it is not to be sent elsewhere.
            return exceptions.TryAgainError(f"the slot is on the move to {error.host}:{error.port}")
        # A command that this server does not know says nothing of the keys.
        return exceptions.RedisError(str(error)) if _has_no_code(error) else error

    async def _named(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except exceptions.NoPermissionError as error:
            raise await rights.named(self, self._needs, error) from None

    async def _send(self, calls: Sequence[Command]) -> list[Any]:
        return await self._replies([call.words() for call in calls])

    async def _send_one(self, call: Command) -> Any:
        return (await self._send([call]))[0]

    async def _send_asking(self, call: Command) -> Any:
        # ASKING counts for the next command of the same connection.
        asking, reply = await self._send([Command("ASKING", []), call])
        return asking if isinstance(asking, exceptions.RedisError) else reply

    async def _replies(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The replies to ``commands``, as the driver reads them; an error that the server answers is one, too."""

        async def exchange(connection: Any) -> list[Any]:
            replies = await replies_over(connection, commands)
            # Of a master that became a replica: a new connection leads to the master, by its name or the Sentinels.
            if any(isinstance(reply, exceptions.ReadOnlyError) for reply in replies):
                await connection.disconnect(nowait=True)
            return replies

        replies = await self._over_one_connection(exchange)
        for i, words in enumerate(commands):
            if (read := self._readers.get(words[0])) and not isinstance(replies[i], exceptions.RedisError):
                replies[i] = read(replies[i])
        return replies

    async def _over_one_connection(self, exchange: Callable[[Any], Awaitable[list[Any]]]) -> list[Any]:
        """The result of ``exchange`` over an adapted connection of the pool; one that breaks off is not kept."""
        pool = self._redis.connection_pool
        connection = await pool.get_connection()
        try:
            return await exchange(connection)
        except BaseException:
            # Replies may be on their way to it.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    async def _load_scripts(self) -> None:
        for script in scripts.ALL:
            await self._redis.script_load(script.text)


def _has_no_code(reply: Any) -> bool:
    return isinstance(reply, exceptions.ResponseError) and reply.status_code == _NO_CODE


def patience(timeout_s: float) -> dict[str, Any]:
    """Options of connections that give up after ``timeout_s`` and never try again by themselves."""
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        # The callers know what may be tried again, and when.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        # Not every Redis knows CLIENT SETINFO, and it would be one more right.
        "driver_info": None,
    }


def greeted(epoch: Epoch, needs: Needs) -> dict[str, Any]:
    """Options of the connections to one node: ``epoch`` knows of them, and the store's layout is checked."""
    return {"redis_connect_func": Greeting(epoch, LayoutCheck(needs.prefix, needs.layouts)).greet}


def open_node(
    url: CurrentUrl, address: Address | None, needs: Needs, epoch: Epoch, *, timeout_s: float, pool_size: int
) -> Node:
    """The server at ``address``, or the one of a URL that names one alone; nothing is sent yet."""
    options = {
        **url.server_options(),
        "max_connections": pool_size,
        "timeout": timeout_s,
        **patience(timeout_s),
        **greeted(epoch, needs),
    }
    if address is not None:
        options["host"], options["port"] = address
    return Node(Redis.from_pool(WaitingPool(**options)), needs)
