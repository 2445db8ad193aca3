"""Replies to commands that are sent over one connection, outside of the driver's own client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


async def replies_over(connection: Any, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Send ``commands`` in one go and return their replies; an error that the server answers is a reply.

    Raises the driver's error where the server cannot be reached or breaks off; then ``connection``, which is
    :func:`~replog.store.client.driver_connections.adapted`, is of no more use.
    """
    await connection.send_packed_command(connection.pack_commands(commands))
    replies: list[Any] = await connection.replies(len(commands))
    return replies
