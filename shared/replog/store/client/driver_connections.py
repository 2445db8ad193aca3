"""The driver's connections, as the store uses them: fast for many commands at once, and a lost one says so.

The driver's connections of an event loop read replies by hiredis, but write commands in Python: that takes 1 us an
argument, instead of 0.1. Its other connections write them as this does.

The driver also starts a timer for each reply. Most replies of a pipeline are there already when they are asked for, and
starting the timer takes longer than reading them. So only a reply that has to be waited for has a timer here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hiredis import pack_command
from redis import exceptions
from redis._parsers.hiredis import NOT_ENOUGH_DATA

if TYPE_CHECKING:
    from asyncio import StreamWriter
    from collections.abc import Iterable

    from redis.asyncio.connection import AbstractConnection


class _Adapted:
    """Put before a class of the driver's connections."""

    _writer: StreamWriter
    _parser: Any

    def pack_command(self, *words: Any) -> list[bytes]:
        """One command as it goes over the wire; its name may be several words in one text."""
        name, *arguments = words
        # Whole numbers as texts: hiredis 3.5 reads through a null pointer when a signal's handler raises, such as that
        # of Ctrl-C, while it writes one.
        texts = [str(argument) if type(argument) is int else argument for argument in arguments]
        return [pack_command((*name.encode().split(), *texts))]

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        """The next reply. Raises ResponseError where it is one, ConnectionError, TimeoutError."""
        reply = NOT_ENOUGH_DATA if arguments or options else self._reply_that_is_here()
        if reply is NOT_ENOUGH_DATA:
            return await super().read_response(*arguments, **options)  # type: ignore[misc]
        if isinstance(reply, exceptions.RedisError):
            if not isinstance(reply, exceptions.ResponseError):
                await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            raise reply
        return reply

    def _reply_that_is_here(self) -> Any:
        """The next reply, where all of it is read; an error that the server answered is one, too."""
        parser = self._parser
        # The driver's own parser has no public way to ask it. Errors inside of replies are of transactions alone.
        return parser._reader.gets() if parser._connected else NOT_ENOUGH_DATA  # noqa: SLF001

    async def _send_packed_command(self, command: Iterable[bytes]) -> None:
        # On writing, a closed transport of uvloop raises RuntimeError, which the driver does not take for its own.
        if self._writer.is_closing():
            raise ConnectionResetError("the connection is closed")
        await super()._send_packed_command(command)  # type: ignore[misc]


def adapted(connection: type[AbstractConnection]) -> type[AbstractConnection]:
    """The same class of connections, adapted."""
    return type(f"Adapted{connection.__name__}", (_Adapted, connection), {})
