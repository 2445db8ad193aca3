"""The driver's pool of connections, as the store uses it: lends a free connection at once.

The driver's own starts a timer, takes locks and reports to OpenTelemetry for each connection that it lends, free or
not: that takes as long as a fifth of a small call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.asyncio import BlockingConnectionPool

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection


class WaitingPool(BlockingConnectionPool):
    """The driver's pool of one event loop; a burst waits for a connection. One that is free is lent at once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        #: Callers that wait for a connection.
        self._waiting = 0

    async def get_connection(self, *_: Any, **__: Any) -> Any:
        """A connection that is ready. Raises ConnectionError, TimeoutError."""
        if not self.can_get_connection():
            self._waiting += 1
            try:
                return await super().get_connection()  # type: ignore[no-untyped-call] # the driver's
            finally:
                self._waiting -= 1
        connection: Any = self.get_available_connection()  # type: ignore[no-untyped-call] # as above
        try:
            # What was read ahead of any command, or the end, is left to the driver, which connects anew.
            if not connection.is_connected or await connection.can_read():
                await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Take ``connection`` back, for those who wait first."""
        if self._waiting or connection.should_reconnect():
            await super().release(connection)
        else:
            self._in_use_connections.remove(connection)
            self._available_connections.append(connection)
