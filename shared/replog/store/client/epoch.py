"""The server processes that connections lead to: where they change, data may have gone back, or be another store's.

A driver connects anew by itself where a connection was lost between two calls; no call fails, and a Redis that was
ended and came back with older data would go unnoticed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from redis import exceptions

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

    from replog.store.client.layout_check import LayoutCheck

#: Where a server says which process it is: another number at every start.
_RUN_ID = re.compile(rb"^run_id:(\S+)", re.MULTILINE)


class Epoch:
    """A number that grows whenever a server was reached that may have less than the one before had."""

    def __init__(self) -> None:
        self.number = 0

    def advance(self) -> None:
        """Begin the next epoch."""
        self.number += 1


class Greeting:
    """Begins connections to one node of a store, and an epoch where one leads to another process than the last did.

    A connection more to the same process, as under load, begins none. What another process holds is checked before it
    serves any call.
    """

    def __init__(self, epoch: Epoch, layout: LayoutCheck) -> None:
        self._epoch = epoch
        self._layout = layout
        self._run_id: bytes | None = None

    async def greet(self, connection: AbstractConnection) -> None:
        """Do what the driver does with a new connection, and learn where it leads; for ``redis_connect_func``.

        Raises ForeignLayoutError where that is a store that this version cannot read.
        """
        await connection.on_connect()
        run_id = await _run_id(connection)
        if run_id is None or run_id != self._run_id:
            await self._layout.check(connection)
            self._run_id = run_id
            self._epoch.advance()


async def _run_id(connection: AbstractConnection) -> bytes | None:
    """The run id of the server process; None where it does not tell."""
    await connection.send_command("INFO", "server")
    try:
        found = _RUN_ID.search(await connection.read_response())
    except exceptions.ResponseError:
        return None
    return found[1] if found else None
