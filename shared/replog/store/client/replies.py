"""Replies to commands that are sent over one connection, outside of the driver's own client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis import exceptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio.connection import AbstractConnection


async def replies_over(connection: AbstractConnection, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Send ``commands`` in one go and return their replies; an error that the server answers is a reply.

    Raises the driver's error where the server cannot be reached or breaks off.
    """
    await connection.send_packed_command(connection.pack_commands(commands))
    return [await _reply_over(connection) for _ in commands]


async def _reply_over(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except exceptions.ResponseError as error:
        return error
