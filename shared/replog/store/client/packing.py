"""Commands packed by hiredis.

The driver's connections of an event loop read replies by hiredis, but write commands in Python: that takes 1 us an
argument, instead of 0.1. Its other connections write them as this does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hiredis import pack_command

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection


class _Packing:
    """Put before a class of the driver's connections."""

    def pack_command(self, *words: Any) -> list[bytes]:
        """One command as it goes over the wire; its name may be several words in one text."""
        name, *arguments = words
        return [pack_command((*name.encode().split(), *arguments))]


def packing(connection: type[AbstractConnection]) -> type[AbstractConnection]:
    """The same class of connections, with commands packed by hiredis."""
    return type(f"Packing{connection.__name__}", (_Packing, connection), {})
