"""Cancellation of reads whose client has left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from replog.cancellation import cancel_and_wait
from replog.errors import ReplogError

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.types import Receive

    from replog.deadlines import Deadlines

#: Seconds that a listener may take to end.
_ENDS_WITHIN_S = 1.0


class ClientLeftError(ReplogError):
    """The client closed its connection before it had its answer."""


class WhilePresent:
    """A block that is cancelled when the client leaves. It begins to listen for that when ``deadlines`` say it is late.

    Nothing else may await ``receive`` meanwhile.

    Raises:
        ClientLeftError: it left.
    """

    __slots__ = ("_deadlines", "_left", "_listener", "_over", "_receive", "_task")

    def __init__(self, receive: Receive, deadlines: Deadlines) -> None:
        self._receive = receive
        self._deadlines = deadlines
        self._left = self._over = False
        self._listener: asyncio.Task[None] | None = None
        self._task: asyncio.Task[object] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        self._deadlines.begin(self, self._listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.end(self)
        if self._left and self._task:
            # Somebody else may have cancelled the task too, and then that counts.
            if not self._task.uncancel() and kind is asyncio.CancelledError:
                raise ClientLeftError("the client left") from None
        elif self._listener:
            self._over = True
            await cancel_and_wait([self._listener], timeout_s=_ENDS_WITHIN_S)

    def _listen(self) -> None:
        if self._task:
            self._listener = asyncio.create_task(self._cancel_when_gone(self._task), name="disconnect listener")

    async def _cancel_when_gone(self, task: asyncio.Task[object]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._over:
            self._left = True
            task.cancel()
