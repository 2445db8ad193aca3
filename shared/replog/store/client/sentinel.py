"""A Redis whose master Sentinels appoint."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from redis import RedisError
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from replog.store.client.connection_pool import WaitingPool
from replog.store.client.node import Node, greeted, patience

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio.connection import AbstractConnection

    from replog.store.client.command import Command
    from replog.store.client.credentials import CurrentUrl
    from replog.store.client.epoch import Epoch
    from replog.store.client.rights import Needs


#: How often the Sentinels are asked whether the master is still the same. After a failover that somebody ordered the
#: old one takes writes for 10 s more, without an error, and then forgets them.
ASK_EVERY_S = 1.0


class _MasterPool(SentinelConnectionPool, WaitingPool):
    """Asks the Sentinels for the master at every new connection."""

    async def release(self, connection: AbstractConnection) -> None:
        """Take ``connection`` back; closed, where the master changed while it was lent."""
        if self.master_address != (getattr(connection, "host", None), getattr(connection, "port", None)):
            await connection.disconnect()
        await super().release(connection)


class SentinelNode(Node):
    """The master of the moment. Where it is replaced, the next calls break or go to the new one."""

    def __init__(self, url: CurrentUrl, needs: Needs, epoch: Epoch, *, timeout_s: float, pool_size: int) -> None:
        known = url.first
        self._sentinels = Sentinel(known.addresses, sentinel_kwargs={**url.sentinel_options(), **patience(timeout_s)})
        # Where the server is, the Sentinels say.
        options = {name: value for name, value in url.server_options().items() if name not in {"host", "port"}}
        encrypted = options.pop("connection_class", None) is not None
        master = self._sentinels.master_for(
            known.name,
            connection_pool_class=_MasterPool,
            connection_class=SentinelManagedSSLConnection if encrypted else SentinelManagedConnection,
            max_connections=pool_size,
            timeout=timeout_s,
            **options,
            **patience(timeout_s),
            **greeted(epoch, needs),
        )
        super().__init__(master, needs)
        self._pool: Any = master.connection_pool
        self._asked_s = 0.0

    async def send(self, calls: Sequence[Command]) -> list[Any]:
        """As :meth:`Node.send`."""
        now_s = time.monotonic()
        if now_s - self._asked_s >= ASK_EVERY_S:
            self._asked_s = now_s
            # Sentinels that do not answer are no reason not to use the master that is known.
            with contextlib.suppress(RedisError):
                # Closes what leads to another than the master.
                await self._pool.get_master_address()
        return await super().send(calls)

    async def close(self) -> None:
        """Close all connections, those to the Sentinels too."""
        try:
            await super().close()
        finally:
            await self._sentinels.aclose()
