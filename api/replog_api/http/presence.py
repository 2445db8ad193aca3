"""Cancellation of reads whose client has left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from replog.cancellation import cancel_and_wait
from replog.errors import ReplogError

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.types import Receive

#: Seconds that a listener may take to end.
_ENDS_WITHIN_S = 1.0


class ClientLeftError(ReplogError):
    """The client closed its connection before it had its answer."""


class WhilePresent:
    """A block that is cancelled when the client leaves. It begins to listen for that after ``notice_after_s``.

    A block that is over sooner costs one timer. Nothing else may await ``receive`` meanwhile.

    Raises:
        ClientLeftError: it left.
    """

    __slots__ = ("_left", "_listener", "_notice_after_s", "_over", "_receive", "_task", "_timer")

    def __init__(self, receive: Receive, notice_after_s: float) -> None:
        self._receive = receive
        self._notice_after_s = notice_after_s
        self._left = self._over = False
        self._listener: asyncio.Task[None] | None = None
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._timer = asyncio.get_running_loop().call_later(self._notice_after_s, self._listen, asyncio.current_task())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer:
            self._timer.cancel()
        if self._left and self._task:
            # Somebody else may have cancelled the task too, and then that counts.
            if not self._task.uncancel() and kind is asyncio.CancelledError:
                raise ClientLeftError("the client left") from None
        elif self._listener:
            self._over = True
            await cancel_and_wait([self._listener], timeout_s=_ENDS_WITHIN_S)

    def _listen(self, task: asyncio.Task[object] | None) -> None:
        if task is None:
            return
        self._task = task
        self._listener = asyncio.create_task(self._cancel_when_gone(task), name="disconnect listener")

    async def _cancel_when_gone(self, task: asyncio.Task[object]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._over:
            self._left = True
            task.cancel()
