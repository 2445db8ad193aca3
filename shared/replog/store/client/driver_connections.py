"""The driver's connections, as the store uses them: commands are packed by hiredis, and a lost one says so.

The driver's connections of an event loop read replies by hiredis, but write commands in Python: that takes 1 us an
argument, instead of 0.1. Its other connections write them as this does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hiredis import pack_command

if TYPE_CHECKING:
    from asyncio import StreamWriter
    from collections.abc import Iterable

    from redis.asyncio.connection import AbstractConnection


class _Adapted:
    """Put before a class of the driver's connections."""

    _writer: StreamWriter

    def pack_command(self, *words: Any) -> list[bytes]:
        """One command as it goes over the wire; its name may be several words in one text."""
        name, *arguments = words
        return [pack_command((*name.encode().split(), *arguments))]

    async def _send_packed_command(self, command: Iterable[bytes]) -> None:
        # On writing, a closed transport of uvloop raises RuntimeError, which the driver does not take for its own.
        if self._writer.is_closing():
            raise ConnectionResetError("the connection is closed")
        await super()._send_packed_command(command)  # type: ignore[misc]


def adapted(connection: type[AbstractConnection]) -> type[AbstractConnection]:
    """The same class of connections, adapted."""
    return type(f"Adapted{connection.__name__}", (_Adapted, connection), {})
