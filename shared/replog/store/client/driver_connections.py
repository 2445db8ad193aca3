"""The driver's connections, as the store uses them: fast for many commands at once, and a lost one says so.

The driver's connections of an event loop read replies by hiredis, but write commands in Python: that takes 1 us an
argument, instead of 0.1. Its other connections write them as this does.

The driver also starts a timer for each write and each reply. Nearly every write goes at once, and most replies of a
pipeline are there already when they are asked for: starting the timer takes longer than either. So only what has to be
waited for has a timer here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hiredis import pack_command
from redis import exceptions
from redis._parsers.hiredis import NOT_ENOUGH_DATA

if TYPE_CHECKING:
    from asyncio import StreamWriter
    from collections.abc import Iterable, Sequence

    from redis.asyncio.connection import AbstractConnection

#: Bytes that an idle connection takes without waiting: a fourth of what asyncio's and uvloop's hold back.
_TAKEN_AT_ONCE = 16 * 1024


class _Adapted:
    """Put before a class of the driver's connections."""

    _writer: StreamWriter | None
    _parser: Any
    health_check_interval: float

    def pack_command(self, *words: Any) -> list[bytes]:
        """One command as it goes over the wire; its name may be several words in one text."""
        name, *arguments = words
        return self.pack_commands([(*name.split(), *arguments)])

    def pack_commands(self, commands: Iterable[tuple[Any, ...]]) -> list[bytes]:
        """Several commands as they go over the wire, each of whose names is one word."""
        # Whole numbers as texts: hiredis 3.5 reads through a null pointer when a signal's handler raises, such as that
        # of Ctrl-C, while it writes one.
        return [
            pack_command(tuple([str(word) if type(word) is int else word for word in words]))  # type: ignore[arg-type] # its stub takes one word
            for words in commands
        ]

    async def send_packed_command(self, command: Sequence[bytes], *arguments: Any, **options: Any) -> None:
        """Write ``command``, connecting first where that is needed. Raises ConnectionError, TimeoutError."""
        if self._takes_at_once(command):
            self._writer.write(b"".join(command))  # type: ignore[union-attr] # which it has then
        else:
            await super().send_packed_command(command, *arguments, **options)  # type: ignore[misc]

    async def replies(self, count: int) -> list[Any]:
        """The next ``count`` replies, in order; an error that the server answers is one, too.

        Where it raises ConnectionError, TimeoutError or InvalidResponse, the connection is of no more use.
        """
        replies = list[Any]()
        for _ in range(count):
            reply = self._reply_that_is_here()
            if reply is NOT_ENOUGH_DATA:
                reply = await self._reply_on_its_way()
            elif isinstance(reply, exceptions.ConnectionError):
                raise reply
            replies.append(reply)
        return replies

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

    async def _reply_on_its_way(self) -> Any:
        try:
            return await super().read_response()  # type: ignore[misc]
        except exceptions.ResponseError as error:
            return error

    def _takes_at_once(self, command: Sequence[bytes]) -> bool:
        writer = self._writer
        return (
            # Where connections are to be checked, the driver does so before it writes.
            not self.health_check_interval
            and writer is not None
            and not writer.is_closing()
            and writer.transport.get_write_buffer_size() == 0
            and sum(map(len, command)) <= _TAKEN_AT_ONCE
        )

    def _reply_that_is_here(self) -> Any:
        """The next reply, where all of it is read; an error that the server answered is one, too."""
        parser = self._parser
        # The driver's own parser has no public way to ask it. Errors inside of replies are of transactions alone.
        return parser._reader.gets() if parser._connected else NOT_ENOUGH_DATA  # noqa: SLF001

    async def _send_packed_command(self, command: Iterable[bytes]) -> None:
        # On writing, a closed transport of uvloop raises RuntimeError, which the driver does not take for its own.
        if self._writer is None or self._writer.is_closing():
            raise ConnectionResetError("the connection is closed")
        # In one piece: asyncio before 3.12.9 and 3.13.2 holds back `writelines` without end (CVE-2024-12254).
        self._writer.write(b"".join(command))
        await self._writer.drain()


def adapted(connection: type[AbstractConnection]) -> type[AbstractConnection]:
    """The same class of connections, adapted."""
    return type(f"Adapted{connection.__name__}", (_Adapted, connection), {})


async def replies_over(connection: Any, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Send ``commands`` in one go over an :func:`adapted` connection and return their replies.

    An error that the server answers is a reply. Raises the driver's error where the server cannot be reached or breaks
    off; then ``connection`` is of no more use.
    """
    await connection.send_packed_command(connection.pack_commands(commands))
    replies: list[Any] = await connection.replies(len(commands))
    return replies
