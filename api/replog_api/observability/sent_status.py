"""The status of an answer, as ASGI wrappers that observe requests see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Message, Send


class SentStatus:
    """Passes an answer on to ``send``, and keeps its status in :attr:`status`: ``unsent`` until its head is sent."""

    __slots__ = ("_send", "status")

    def __init__(self, send: Send, *, unsent: int) -> None:
        self._send = send
        self.status = unsent

    async def __call__(self, message: Message) -> None:
        """Send one message of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)
